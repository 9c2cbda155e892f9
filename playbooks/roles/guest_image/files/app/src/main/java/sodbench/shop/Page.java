package sodbench.shop;

import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** An HTML page that grows in memory and is answered in one piece. */
final class Page {
    private final StringBuilder html = new StringBuilder(8192);

    Page(String title) {
        html.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
        text(title).html.append("</title></head><body>\n<h1>");
        text(title).html.append("</h1>\n");
    }

    /** Adds markup as it is. */
    Page markup(String markup) {
        html.append(markup);
        return this;
    }

    /** Adds text, with what HTML would take for markup escaped. */
    Page text(String text) {
        for (int at = 0; at < text.length(); at++) {
            char letter = text.charAt(at);
            switch (letter) {
                case '<' -> html.append("&lt;");
                case '>' -> html.append("&gt;");
                case '&' -> html.append("&amp;");
                case '"' -> html.append("&quot;");
                default -> html.append(letter);
            }
        }
        return this;
    }

    /** Adds an item as a row of a table. */
    Page row(Item item, String last) {
        markup("<tr><td>").text(Integer.toString(item.number())).markup("</td><td>").text(item.name());
        markup("</td><td>").text(item.description()).markup("</td><td>").text(price(item.priceCents()));
        return markup("</td><td>").text(last).markup("</td></tr>\n");
    }

    static String price(long cents) {
        return String.format(Locale.ROOT, "%d.%02d", cents / 100, cents % 100);
    }

    void answer(HttpServletResponse response) throws IOException {
        var bytes = html.append("</body></html>\n").toString().getBytes(StandardCharsets.UTF_8);
        response.setContentType("text/html;charset=UTF-8");
        response.setContentLength(bytes.length);
        response.getOutputStream().write(bytes);
    }
}
