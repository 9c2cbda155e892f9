#include "mail.h"
int send_all(void) { return messages; }
