#!/bin/sh
# Prints the SHA-256 of the authority where the host's certificate can be used, and why not to standard error where
# it cannot: certificate_state.sh FOLDER ADDRESS SECONDS USER; it must last so many seconds from now.
cd "$1" 2>/dev/null || { echo "there is no $1" >&2; exit 0; }
for file in ca-cert.pem server-cert.pem server-key.pem client-cert.pem client-key.pem; do
	[ -s "$file" ] || { echo "there is no $1/$file" >&2; exit 0; }
done
said=$(openssl verify -x509_strict -CAfile ca-cert.pem -no-CApath server-cert.pem 2>&1) ||
	{ echo "$said" | grep -m 1 '^error\|error ' >&2 || echo "$said" >&2; exit 0; }
openssl x509 -in server-cert.pem -noout -checkend "$3" >/dev/null || { echo "it ends too soon" >&2; exit 0; }
address=${2%%\%*}
{
	openssl x509 -in server-cert.pem -noout -checkip "$address"
	openssl x509 -in server-cert.pem -noout -checkhost "$address"
} 2>/dev/null | grep -q ' does match ' || { echo "it is not for the address $2" >&2; exit 0; }
[ "$(openssl pkey -in server-key.pem -pubout)" = "$(openssl x509 -in server-cert.pem -noout -pubkey)" ] ||
	{ echo "key and certificate do not belong together" >&2; exit 0; }
[ "$(stat -c '%U %a' server-key.pem)" = "$4 400" ] || { echo "the key is not $4's alone" >&2; exit 0; }
sha256sum ca-cert.pem | cut -d ' ' -f 1
