package sodbench.shop;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.LinkedHashMap;

/** {@code GET cart?item=N}: puts an item into the session's cart and shows the cart. */
public final class CartServlet extends HttpServlet {
    private static final long serialVersionUID = 1L;
    private static final String CART = "cart";

    /** Kinds of items in a cart; a load that runs for hours must not make ever longer pages. */
    private static final int LIMIT = 40;

    /** How many of which item, the one put in first first. */
    public static final class Cart extends LinkedHashMap<Integer, Integer> {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(java.util.Map.Entry<Integer, Integer> eldest) {
            return size() > LIMIT;
        }
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        var catalogue = (Catalogue) getServletContext().getAttribute(Catalogue.ATTRIBUTE);
        var item = asked(catalogue, request.getParameter("item"));
        if (item == null) {
            response.sendError(HttpServletResponse.SC_BAD_REQUEST, "item must be 0 to " + (Catalogue.SIZE - 1));
            return;
        }
        var session = request.getSession();
        var page = new Page("Cart");
        synchronized (session) {
            var cart = session.getAttribute(CART) instanceof Cart kept ? kept : new Cart();
            cart.merge(item.number(), 1, Integer::sum);
            session.setAttribute(CART, cart);
            show(page, cart, catalogue);
        }
        page.answer(response);
    }

    private static Item asked(Catalogue catalogue, String number) {
        try {
            return number == null ? null : catalogue.item(Integer.parseInt(number));
        } catch (NumberFormatException notANumber) {
            return null;
        }
    }

    private static void show(Page page, Cart cart, Catalogue catalogue) {
        long cents = 0;
        int count = 0;
        page.markup("<table>\n");
        for (var entry : cart.entrySet()) {
            var item = catalogue.item(entry.getKey());
            cents += (long) item.priceCents() * entry.getValue();
            count += entry.getValue();
            page.row(item, entry.getValue().toString());
        }
        page.markup("</table>\n<p>items ").text(Integer.toString(count));
        page.markup("</p>\n<p>total ").text(Page.price(cents)).markup("</p>\n");
    }
}
