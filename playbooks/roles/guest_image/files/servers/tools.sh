#!/bin/bash
# What needs no preparation is only asked for a sign of life: smtp-sink, dbench, sysbench.
. ./common.sh

smtp-sink -u postfix -c 127.0.0.1:25 100 &
sent() {
    python3 -c 'import smtplib
with smtplib.SMTP("127.0.0.1", 25, timeout=20) as session:
    session.sendmail("from@example.invalid", ["to@example.invalid"], "Subject: test\r\n\r\ntest\r\n")'
}
await 20 sent
kill %1
wait || true

sysbench --version
dbench -t 1 -D /tmp 1
