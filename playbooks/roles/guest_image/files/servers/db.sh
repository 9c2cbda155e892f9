#!/bin/bash
# MariaDB: the tables of sysbench's OLTP, larger than the buffer pool, so that the load reads from the disk too.
. ./common.sh

install --mode=0644 etc/mariadb.cnf /etc/mysql/mariadb.conf.d/90-sodbench.cnf
install -D --mode=0644 etc/mariadb-unit.conf /etc/systemd/system/mariadb.service.d/sodbench.conf
install -d --owner=mysql --group=root /run/mysqld

# While the tables are filled nothing need survive a crash, and they fit into the pool.
mariadbd --user=mysql --innodb-buffer-pool-size=256M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 &
await 60 mariadb-admin ping
mariadb <<'END'
CREATE DATABASE sbtest;
CREATE USER sbtest@localhost IDENTIFIED BY '';
GRANT ALL ON sbtest.* TO sbtest@localhost;
END
sysbench oltp_read_write --db-driver=mysql --mysql-socket=/run/mysqld/mysqld.sock --mysql-user=sbtest \
    --mysql-db=sbtest --rand-seed=1 --tables=4 --table-size=50000 --threads=2 prepare
mariadb-admin shutdown
wait

# As it will run in the guest.
mariadbd --user=mysql &
await 60 mariadb-admin ping
read -r data pool < <(mariadb --skip-column-names --batch --execute="
    SELECT SUM(data_length), @@innodb_buffer_pool_size FROM information_schema.tables WHERE table_schema = 'sbtest'")
echo "data $data bytes, buffer pool $pool bytes"
((data > 2 * pool)) || { echo "the data should be at least twice the buffer pool"; exit 1; }
sysbench oltp_read_write --db-driver=mysql --mysql-socket=/run/mysqld/mysqld.sock --mysql-user=sbtest \
    --mysql-db=sbtest --tables=4 --table-size=50000 --threads=2 --time=1 run
mariadb-admin shutdown
wait
