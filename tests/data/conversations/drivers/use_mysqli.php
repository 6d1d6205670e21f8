<?php
// PHP's mysqli and PDO over mysqlnd.
mysqli_report(MYSQLI_REPORT_OFF);
$port = (int)getenv('SLUICE_RECORD_PORT');

$db = mysqli_init();
$db->options(MYSQLI_OPT_LOCAL_INFILE, true);
$db->real_connect('127.0.0.1', 'app', 'app-secret', null, $port);
$db->select_db('test');
$db->query("SELECT 1 + 1");
$db->query("INSERT INTO words (word, at) VALUES ('one', '2024-01-02 03:04:05'), ('two', NULL)");
$db->query("SELECT * FROM nosuch");
$db->query("SELECT REPEAT('x', 300000), NULL, 'end'");
$db->query("SELECT * FROM words");
$db->multi_query("SELECT 1; INSERT INTO words (word) VALUES ('three'); SELECT 2 AS a, 3 AS b; DO 0");
do {
    $result = $db->store_result();
} while ($db->more_results() && $db->next_result());

$statement = $db->prepare("SELECT id, word, at FROM words WHERE id > ?");
$id = 0;
$statement->bind_param('i', $id);
$statement->execute();
$statement->get_result();
$statement->execute();
$statement->store_result();
$statement->free_result();
$statement->close();
$statement = $db->prepare("INSERT INTO words (word) VALUES (?)");
$long = null;
$statement->bind_param('b', $long);
$statement->send_long_data(0, str_repeat('l', 40));
$statement->send_long_data(0, str_repeat('m', 40));
$statement->execute();
$statement->close();
$statement = $db->prepare("SELECT seq FROM seq_1_to_50");
$statement->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
$statement->attr_set(MYSQLI_STMT_ATTR_PREFETCH_ROWS, 20);
$statement->execute();
while ($statement->fetch()) {
}
$statement->close();
$db->prepare("SELECT nosuch FROM words");

$file = tempnam(sys_get_temp_dir(), 'rec');
file_put_contents($file, str_repeat("line of a file\n", 1000));
$db->query("LOAD DATA LOCAL INFILE '$file' INTO TABLE words (word)");
unlink($file);
$db->change_user('other', 'other-secret', 'test');
$db->stat();
$db->ping();
$db->query("SELECT USER()");
$db->close();

// A second connection: PDO, with a database, its own emulation of prepared statements off.
$db = new PDO("mysql:host=127.0.0.1;port=$port;dbname=test;charset=utf8mb4", 'app', 'app-secret',
    [PDO::ATTR_EMULATE_PREPARES => false, PDO::ATTR_ERRMODE => PDO::ERRMODE_SILENT]);
$db->beginTransaction();
$statement = $db->prepare("INSERT INTO words (word) VALUES (?)");
$statement->execute(['pdo']);
$statement->execute(['pdo again']);
$db->commit();
foreach ($db->query("SELECT word FROM words WHERE word LIKE 'pdo%'") as $row) {
}
$db = null;
