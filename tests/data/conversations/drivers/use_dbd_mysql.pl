# Perl's DBD::mysql, over Connector/C.
use strict;
use warnings;
use DBI;

my $port = $ENV{SLUICE_RECORD_PORT};
my $options = {RaiseError => 0, PrintError => 0};

my $db = DBI->connect("DBI:mysql:host=127.0.0.1;port=$port;mysql_multi_statements=1;mysql_local_infile=1",
    'app', 'app-secret', $options) or die;
$db->do('USE test');
$db->selectall_arrayref('SELECT 1, 2, 3');
$db->do("INSERT INTO words (word) VALUES ('un')");
$db->do('SELECT * FROM nosuch');
$db->selectall_arrayref("SELECT REPEAT('z', 70000)");
my $multi = $db->prepare("SELECT 1; SELECT 'two'; DO 1");
$multi->execute;
do { $multi->fetchall_arrayref if $multi->{NUM_OF_FIELDS}; } while ($multi->more_results);
$db->{mysql_server_prepare} = 1;
my $insert = $db->prepare('INSERT INTO words (word) VALUES (?)');
$insert->execute($_) for ('deux', 'trois', undef);
$insert->finish;
my $select = $db->prepare('SELECT word FROM words WHERE id < ? ORDER BY id');
$select->execute(100);
$select->fetchall_arrayref;
undef $insert;
undef $select;
$db->{AutoCommit} = 0;
$db->do("UPDATE words SET word = 'x' WHERE id = 1");
$db->rollback;
$db->ping;
$db->disconnect;

$db = DBI->connect("DBI:mysql:database=test;host=127.0.0.1;port=$port", 'app', 'app-secret', $options) or die;
$db->selectall_arrayref('SELECT DATABASE()');
$db->disconnect;
