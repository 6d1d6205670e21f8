// Node's mysql2.
'use strict';
const fs = require('fs');
const mysql = require('mysql2/promise');

const base = {
  host: '127.0.0.1', port: Number(process.env.SLUICE_RECORD_PORT), user: 'app', password: 'app-secret',
};
const fails = (promise) => promise.then(() => { throw new Error('no error'); }, () => {});

async function statements() {
  const db = await mysql.createConnection({
    ...base, multipleStatements: true, infileStreamFactory: (path) => fs.createReadStream(path),
  });
  await db.query('USE test');
  await db.query('SELECT 1 AS one');
  await db.query("INSERT INTO words (word) VALUES ('ichi'), ('ni')");
  await fails(db.query('SELECT * FROM nosuch'));
  await db.query("SELECT REPEAT('q', 250000) AS v");
  await db.query('SELECT seq FROM seq_1_to_100');
  await db.query("SELECT 1; SELECT 2; INSERT INTO words (word) VALUES ('san')");
  await db.execute('SELECT word FROM words WHERE id > ?', [0]);
  await db.execute('SELECT word FROM words WHERE id > ?', [1]);
  const statement = await db.prepare('INSERT INTO words (word) VALUES (?)');
  await statement.execute(['shi']);
  await statement.close();
  await fails(db.execute('SELECT nosuch FROM words WHERE id = ?', [1]));
  const path = `${process.cwd()}/mysql2.txt`;
  fs.writeFileSync(path, 'go\nroku\n');
  await db.query({ sql: `LOAD DATA LOCAL INFILE '${path}' INTO TABLE words (word)`,
    infileStreamFactory: () => fs.createReadStream(path) });
  fs.unlinkSync(path);
  await db.changeUser({ user: 'other', password: 'other-secret', database: 'test' });
  await db.query('SELECT USER()');
  await db.ping();
  await db.end();
}

async function withDatabase() {
  const db = await mysql.createConnection({ ...base, database: 'test' });
  await db.beginTransaction();
  await db.query('SELECT DATABASE()');
  await db.rollback();
  await db.end();
}

statements().then(withDatabase).catch((error) => { console.error(error); process.exit(1); });
