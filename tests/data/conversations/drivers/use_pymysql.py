"""PyMySQL, which writes the protocol itself."""

import os
import tempfile

import pymysql
import pymysql.cursors
from pymysql.constants import CLIENT

PORT = int(os.environ["SLUICE_RECORD_PORT"])


def connect(**options):
    return pymysql.connect(
        host="127.0.0.1", port=PORT, user="app", password="app-secret", **options
    )


def statements():
    db = connect(local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS)
    cursor = db.cursor()
    cursor.execute("USE test")
    db.select_db("test")
    cursor.execute("SELECT 1")
    cursor.execute("INSERT INTO words (word) VALUES (%s), (%s)", ("eins", "zwei"))
    db.commit()
    try:
        cursor.execute("SELECT * FROM nosuch")
    except pymysql.err.ProgrammingError:
        pass
    cursor.execute("SELECT REPEAT('y', 200000), 1")
    cursor.execute("SELECT seq, 'and text' FROM seq_1_to_200")
    cursor.execute("SELECT 1; SELECT 2; INSERT INTO words (word) VALUES ('drei'); SELECT nosuch")
    try:
        while cursor.nextset():
            pass
    except pymysql.err.OperationalError:
        pass
    cursor.executemany("INSERT INTO words (word) VALUES (%s)", [("a",), ("b",), ("c",)])
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("vier\nfünf\n")
        file.flush()
        cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE words (word)")
    with open(file.name, "x", encoding="ascii") as empty:  # an empty file is one empty packet
        empty.close()
    cursor.execute(f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE words (word)")
    os.unlink(file.name)
    db.ping()
    db.close()


def unbuffered():
    db = connect(database="test", cursorclass=pymysql.cursors.SSCursor)
    cursor = db.cursor()
    cursor.execute("SELECT seq FROM seq_1_to_300")
    while cursor.fetchone():
        pass
    db.close()


statements()
unbuffered()
try:
    pymysql.connect(host="127.0.0.1", port=PORT, user="app", password="wrong")
except pymysql.err.OperationalError:
    pass
