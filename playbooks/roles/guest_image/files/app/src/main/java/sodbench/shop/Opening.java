package sodbench.shop;

import jakarta.servlet.ServletContextEvent;
import jakarta.servlet.ServletContextListener;

/** Makes the catalogue when the application is deployed, so that no request pays for it. */
public final class Opening implements ServletContextListener {
    @Override
    public void contextInitialized(ServletContextEvent event) {
        event.getServletContext().setAttribute(Catalogue.ATTRIBUTE, new Catalogue());
    }
}
