package sodbench.shop;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Some thousand items in memory and a query over them: the database of the sample application.
 *
 * <p>The items come from a fixed seed, so that every guest, server and run has the same ones and a query has
 * the same answer everywhere.
 */
final class Catalogue {
    static final int SIZE = 4000;
    static final String ATTRIBUTE = "catalogue";

    private static final long SEED = 20130624L;
    private static final int WORDS_IN_A_DESCRIPTION = 12;
    private static final String[] WORDS = {
        "amber", "basalt", "birch", "brass", "canvas", "cedar", "chalk", "clay", "cobalt", "copper", "coral",
        "cotton", "ebony", "felt", "flax", "glass", "granite", "indigo", "iron", "ivory", "jade", "larch",
        "leather", "linen", "maple", "marble", "nickel", "oak", "onyx", "opal", "paper", "pearl", "pewter",
        "pine", "quartz", "sable", "satin", "silk", "silver", "slate", "steel", "teak", "tin", "topaz", "umber",
        "velvet", "walnut", "wool"
    };

    private final List<Item> items;

    Catalogue() {
        var random = new Random(SEED);
        var made = new ArrayList<Item>(SIZE);
        for (int number = 0; number < SIZE; number++) {
            var description = new StringBuilder();
            for (int word = 0; word < WORDS_IN_A_DESCRIPTION; word++) {
                description.append(word == 0 ? "" : " ").append(anyWord(random));
            }
            var name = anyWord(random) + " " + anyWord(random) + " " + number;
            made.add(new Item(number, name, description.toString(), 100 + random.nextInt(99900)));
        }
        items = List.copyOf(made);
    }

    private static String anyWord(Random random) {
        return WORDS[random.nextInt(WORDS.length)];
    }

    /** The item with that number, or null. */
    Item item(int number) {
        return number >= 0 && number < items.size() ? items.get(number) : null;
    }

    /** All items whose name or description holds {@code word}, the cheapest first. */
    List<Item> find(String word) {
        var wanted = word.toLowerCase(Locale.ROOT);
        var found = new ArrayList<Item>();
        for (var item : items) {
            if (item.name().contains(wanted) || item.description().contains(wanted)) {
                found.add(item);
            }
        }
        found.sort(Comparator.comparingInt(Item::priceCents).thenComparingInt(Item::number));
        return found;
    }
}
