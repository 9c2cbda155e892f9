#!/bin/bash
# GlassFish and Tomcat with the same application, one after the other as they have one port.
#
# Both run with options for a small guest with an emulated CPU. Natively, GlassFish took 12.1 s of CPU until it served;
# 6.0 s with only the first compiler and the serial collector; and 5.0 to 5.3 s with an archive of the classes that it
# loads (JEP 350) in addition. One run each.
. ./common.sh

url=http://127.0.0.1:8080/shop
options=(-Xms192m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)

# Every page once, with a session that lasts.
visit() {
    local jar
    jar=$(mktemp)
    curl --silent --fail "$url/health" | grep '^ok$' >/dev/null
    curl --silent --fail "$url/browse?q=amber" | grep 'found [1-9]' >/dev/null
    curl --silent --fail --cookie-jar "$jar" "$url/cart?item=1" | grep 'items 1' >/dev/null
    curl --silent --fail --cookie "$jar" "$url/cart?item=2" | grep 'items 2' >/dev/null
}

# once COMMAND...: the server as it will be started, until it has served every page, with the classes kept.
once() {
    "$@" &
    local server=$!
    await 90 curl --silent --fail "$url/health"
    visit
    kill -TERM "$server"
    wait "$server" || [ $? = 143 ]
}

install --mode=0755 await-url /usr/local/bin/await-url

# GlassFish
useradd --system --home-dir /opt/glassfish7 --shell /usr/sbin/nologin glassfish
home=/opt/glassfish7
# Documentation, the web console and the database's and the broker's samples are not served from here.
rm -rf "$home"/{README.txt,javadb} "$home"/mq/{javadoc,examples} "$home"/glassfish/{docs,legal,lib/install}
chmod 0755 "$home"/bin/* "$home"/glassfish/bin/*
chown -R glassfish:glassfish "$home"
domain=$home/glassfish/domains/domain1
archive=$domain/classes.jsa
./as glassfish "$home/bin/asadmin" start-domain
install --mode=0644 shop.war /tmp/shop.war
./as glassfish "$home/bin/asadmin" multimode --file "$PWD/etc/asadmin"
./as glassfish "$home/bin/asadmin" stop-domain
# The command that asadmin would start: without asadmin, itself a Java program, in between.
{
    echo '#!/bin/sh'
    echo "cd $domain/config || exit 1"
    echo "archive=\${1:-SharedArchiveFile}"
    printf 'exec'
    ./as glassfish "$home/bin/asadmin" start-domain --dry-run |
        sed --quiet '/^\/.*\/java$/,/^$/p' | grep --invert-match --regexp='^$' --regexp='^-DWALL_CLOCK_START=' |
        while IFS= read -r word; do
            printf ' %q' "$word"
            [[ $word != */java ]] || printf ' "-XX:$archive=%s" %s' "$archive" "${options[*]}"
        done
    echo
} >/opt/glassfish7/bin/start-server
chmod 0755 /opt/glassfish7/bin/start-server
cat /opt/glassfish7/bin/start-server
once ./as glassfish /opt/glassfish7/bin/start-server ArchiveClassesAtExit
test -s "$archive"
once ./as glassfish /opt/glassfish7/bin/start-server
find "$domain/logs" -type f -delete
install --mode=0644 etc/glassfish.service /etc/systemd/system/glassfish.service

# Tomcat
base=/var/lib/tomcat10
archive=$base/lib/classes.jsa
rm -rf "$base"/webapps/ROOT
install --mode=0644 shop.war "$base/webapps/shop.war"
install -d "$base/bin"
install -d --owner=tomcat --group=tomcat "$base/lib"
cat >"$base/bin/setenv.sh" <<END
CATALINA_OPTS="-XX:\${SODBENCH_ARCHIVE:-SharedArchiveFile}=$archive ${options[*]}"
END
tomcat=(./as tomcat CATALINA_HOME=/usr/share/tomcat10 CATALINA_BASE="$base" CATALINA_TMPDIR=/tmp)
start=(/bin/sh /usr/libexec/tomcat10/tomcat-start.sh)
CATALINA_BASE=$base /usr/libexec/tomcat10/tomcat-update-policy.sh
once "${tomcat[@]}" SODBENCH_ARCHIVE=ArchiveClassesAtExit "${start[@]}"
test -s "$archive"
once "${tomcat[@]}" "${start[@]}"
install -D --mode=0644 etc/tomcat-unit.conf /etc/systemd/system/tomcat10.service.d/sodbench.conf
find /var/log/tomcat10 -type f -delete
