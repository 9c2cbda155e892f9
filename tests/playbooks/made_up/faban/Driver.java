// A driver made up for tests: it reads a run file as strictly as the real one, and compiles a method for each operation.
import java.io.File;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import javax.tools.ToolProvider;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

public class Driver {
    static final String SPACE = "http://faban.sunsource.net/ns/fabandriver";

    static String text(Node of, String name) {
        NodeList found = of instanceof Document
            ? ((Document) of).getElementsByTagNameNS(SPACE, name)
            : ((Element) of).getElementsByTagNameNS(SPACE, name);
        return found.getLength() == 0 ? "" : found.item(0).getTextContent();
    }

    public static void main(String[] given) throws Exception {
        File file = null;
        for (int at = 0; at < given.length; at++) if (given[at].equals("-f")) file = new File(given[at + 1]);
        System.out.println("made-up driver, heap of " + Runtime.getRuntime().maxMemory() + " bytes");
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        Document run = factory.newDocumentBuilder().parse(file);
        NodeList operations = run.getElementsByTagNameNS(SPACE, "operation");
        List<String> names = new ArrayList<>();
        StringBuilder source = new StringBuilder("public class Made {\n");
        for (int at = 0; at < operations.getLength(); at++) {
            Element one = (Element) operations.item(at);
            Integer.parseInt(text(one, "kbps"));
            String name = text(one, "name");
            names.add(name);
            source.append("String url@n@ = \"@url@\";\npublic void @name@() throws Exception {}\n"
                .replaceAll("@name@", name)
                .replaceAll("@url@", text(one, "url") + text(one, "get"))
                .replaceAll("@n@", "" + at));
        }
        NodeList mix = run.getElementsByTagNameNS(SPACE, "operationMix");
        for (int at = 0; at < mix.getLength(); at++) {
            String name = text(mix.item(at), "name");
            if (!names.contains(name)) throw new IllegalStateException("no operation " + name);
        }
        File made = new File(System.getProperty("faban.tmpdir", System.getProperty("java.io.tmpdir")), "Made.java");
        Files.writeString(made.toPath(), source.append("}\n").toString());
        if (ToolProvider.getSystemJavaCompiler().run(null, null, null, made.getPath()) != 0) {
            System.out.println("SEVERE: the driver does not compile");
            return;
        }
        System.out.println("INFO: Started all threads; run commences in 0 ms");
        write(new File(text(run, "outputDir"), "1"), names);
    }

    static void write(File folder, List<String> names) throws Exception {
        folder.mkdirs();
        StringBuilder mix = new StringBuilder(), times = new StringBuilder(), rows = new StringBuilder();
        for (String name : names) {
            mix.append("<operation name='" + name + "'><successes>30</successes><failures>0</failures></operation>");
            times.append("<operation name='" + name + "'><max>0.2</max><percentile nth='90'>0.1</percentile>"
                + "<percentile nth='95'>0.1</percentile><percentile nth='99'>0.2</percentile></operation>");
        }
        Files.writeString(new File(folder, "summary.xml").toPath(),
            "<benchResults><driverSummary><metric>30</metric><startTime>Fri Nov 20 10:00:00 UTC 2026</startTime>"
            + "<users>5</users><rtXtps>5</rtXtps><mix>" + mix + "</mix><responseTimes>" + times
            + "</responseTimes></driverSummary></benchResults>");
        for (int second = 0; second < 4; second++) rows.append(second + " 1.00".repeat(names.size()) + "\n");
        Files.writeString(new File(folder, "detail.xan").toPath(),
            "Section: made Throughput\nTime (s) " + String.join(" ", names) + "\n" + rows
            + "\nSection: made Response Times (seconds)\nTime (s) " + String.join(" ", names) + "\n" + rows);
    }
}
