package sodbench.shop;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;

/** {@code GET browse?q=WORD}: searches the catalogue and shows the cheapest that it found. */
public final class BrowseServlet extends HttpServlet {
    private static final long serialVersionUID = 1L;
    private static final int SHOWN = 25;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        var word = request.getParameter("q");
        if (word == null || word.isBlank()) {
            response.sendError(HttpServletResponse.SC_BAD_REQUEST, "q, the word to look for, is missing");
            return;
        }
        var catalogue = (Catalogue) getServletContext().getAttribute(Catalogue.ATTRIBUTE);
        var found = catalogue.find(word.strip());
        var page = new Page("Search for " + word.strip());
        page.markup("<p>found ").text(Integer.toString(found.size())).markup("</p>\n<table>\n");
        for (var item : found.subList(0, Math.min(SHOWN, found.size()))) {
            page.row(item, "cart?item=" + item.number());
        }
        page.markup("</table>\n").answer(response);
    }
}
