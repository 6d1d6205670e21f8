// Node's mariadb. With the argument "pipelined" it sends commands ahead of the answers of the
// previous ones, which it does unless files may be loaded.
'use strict';
const fs = require('fs');
const mariadb = require('mariadb');

const base = {
  host: '127.0.0.1', port: Number(process.env.SLUICE_RECORD_PORT), user: 'app', password: 'app-secret',
};
const fails = (promise) => promise.then(() => { throw new Error('no error'); }, () => {});

async function statements() {
  const db = await mariadb.createConnection({
    ...base, database: 'test', multipleStatements: true, permitLocalInfile: true,
  });
  await db.query("INSERT INTO words (word) VALUES ('alpha'), ('beta')");
  await fails(db.query('SELECT * FROM nosuch'));
  await db.query("SELECT REPEAT('w', 100000) AS v");
  await db.query('SELECT seq FROM seq_1_to_100');
  await db.query("SELECT 1; SELECT 2; INSERT INTO words (word) VALUES ('gamma')");
  await db.execute('SELECT word FROM words WHERE id > ?', [0]);
  await db.execute('SELECT word FROM words WHERE id > ?', [1]);
  await db.batch('INSERT INTO words (word) VALUES (?)', [['delta'], ['epsilon'], ['zeta']]);
  await fails(db.execute('SELECT nosuch FROM words WHERE id = ?', [1]));
  const path = `${process.cwd()}/mariadb.txt`;
  fs.writeFileSync(path, 'eta\ntheta\n');
  await db.query(`LOAD DATA LOCAL INFILE '${path}' INTO TABLE words (word)`);
  fs.unlinkSync(path);
  await db.changeUser({ user: 'other', password: 'other-secret', database: 'test' });
  await db.reset().catch(() => {});
  await db.ping();
  await db.end();
}

async function pipelined() {
  const db = await mariadb.createConnection({ ...base, database: 'test', pipelining: true });
  await Promise.all([1, 2, 3, 4, 5].map((n) => db.query('SELECT ? AS v, seq FROM seq_1_to_5', [n])));
  await Promise.all([
    db.query("INSERT INTO words (word) VALUES ('iota')"),
    fails(db.query('SELECT * FROM nosuch')),
    db.query("SELECT REPEAT('k', 30000) AS v"),
    db.ping(),
  ]);
  await db.execute('SELECT word FROM words WHERE id > ?', [0]);  // prepares and executes at once
  await Promise.all([1, 2, 3].map((n) => db.execute('SELECT ? + 1 AS v', [n])));
  await db.batch('INSERT INTO words (word) VALUES (?)', [['kappa'], ['lambda']]);
  await db.end();
}

async function withEd25519() {
  const db = await mariadb.createConnection({ ...base, user: 'curve', password: 'curve-secret' });
  await db.query('SELECT CURRENT_USER()');
  await db.end();
}

const all = process.argv[2] === 'pipelined' ? pipelined() : statements().then(withEd25519);
all.catch((error) => { console.error(error); process.exit(1); });
