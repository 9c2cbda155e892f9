#!/bin/bash
# Apache: a hundred static pages and one dynamic page.
. ./common.sh

a2dismod --quiet --force autoindex status >/dev/null
install --mode=0644 etc/apache.conf /etc/apache2/conf-available/sodbench.conf
a2enconf --quiet sodbench
install -d /var/www/html/static
rm -f /var/www/html/index.html
install --mode=0644 page.php /var/www/html/page.php
python3 pages.py /var/www/html/static

apache2ctl configtest
install -d /run/apache2
apache2ctl start
await 20 curl --silent --fail http://127.0.0.1/static/000.html
curl --silent --fail http://127.0.0.1/static/099.html | cmp - /var/www/html/static/099.html
curl --silent --fail 'http://127.0.0.1/page.php?n=4711' | grep 4711 >/dev/null
apache2ctl stop
await 20 test ! -e /run/apache2/apache2.pid
