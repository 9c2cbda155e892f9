// A launcher made up for tests: it starts the driver, and says nothing of how that ended.
import java.util.ArrayList;
import java.util.List;

public class Launcher {
    public static void main(String[] given) throws Exception {
        List<String> command = new ArrayList<>();
        List<String> rest = new ArrayList<>();
        command.add(System.getenv("JAVA_HOME") + "/bin/java");
        for (int at = 0; at < given.length; at++) {
            if (given[at].equals("-J")) command.add(given[++at]); else rest.add(given[at]);
        }
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "Driver"));
        command.addAll(rest);
        new ProcessBuilder(command).inheritIO().start().waitFor();
    }
}
