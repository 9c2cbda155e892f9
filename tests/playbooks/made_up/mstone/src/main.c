#include <netdb.h>
#include <stdio.h>
#include "mail.h"
int main(void) {
    messages = extra();
    if (getprotobyname("tcp") == NULL) { puts("there is no entry for tcp"); return 1; }
    return send_all() == 7 ? 0 : 2;
}
