extern "C" int extra() { struct Seven { int is = 7; }; return Seven().is; }
