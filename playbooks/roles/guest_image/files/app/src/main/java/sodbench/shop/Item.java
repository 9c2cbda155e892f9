package sodbench.shop;

/** One item of the catalogue; the price is in cents. */
record Item(int number, String name, String description, int priceCents) {}
