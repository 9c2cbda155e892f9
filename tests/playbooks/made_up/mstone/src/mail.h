int messages;
int extra(void);
int send_all(void);
