import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A small chat server on the JDK's own server and the JDBC driver of SQLite: {@code PORT GATEWAY DATABASE JOURNAL SAVE}.
 *
 * <p>SAVE is {@code before} or {@code after} (the final marker), {@code detached} (in a task that nobody waits for), or
 * {@code both}: before the marker, next to another write that is awaited as well.
 */
public class Server {
    private static final String STRING = "\"((?:[^\"\\\\]|\\\\.)*)\"";
    private static final ExecutorService THREADS = Executors.newCachedThreadPool();
    private static String url;
    private static String journal;

    static Connection connect() throws SQLException {
        Connection connection = DriverManager.getConnection(url);
        try (Statement statement = connection.createStatement()) {
            statement.execute("PRAGMA journal_mode = " + journal);
            statement.execute("PRAGMA busy_timeout = 10000");
        }
        return connection;
    }

    static void save(String chat, String role, String content) {
        try (Connection connection = connect()) {
            connection.setAutoCommit(false);
            String insert = "INSERT INTO message (conversation_id, role, content) VALUES (?, ?, ?)";
            try (PreparedStatement statement = connection.prepareStatement(insert)) {
                statement.setString(1, chat);
                statement.setString(2, role);
                statement.setString(3, content);
                statement.executeUpdate();
            }
            connection.commit();
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    static void see() {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            statement.execute("INSERT INTO seen VALUES (1)");
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    static String history(String chat) throws SQLException {
        StringBuilder json = new StringBuilder("[");
        String select = "SELECT role, content FROM message WHERE conversation_id = ? ORDER BY id";
        try (Connection connection = connect(); PreparedStatement statement = connection.prepareStatement(select)) {
            statement.setString(1, chat);
            ResultSet rows = statement.executeQuery();
            while (rows.next()) {
                json.append(json.length() > 1 ? "," : "");
                json.append("{\"role\":").append(quote(rows.getString(1)));
                json.append(",\"content\":").append(quote(rows.getString(2))).append("}");
            }
        }
        return json.append("]").toString();
    }

    static String quote(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*" + STRING).matcher(json);
        return found.find() ? found.group(1).replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\") : "";
    }

    static void reply(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    static void chat(HttpExchange exchange, String gateway, String how) throws Exception {
        String asked = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        String chat = field(asked, "conversation_id");
        save(chat, "user", field(asked, "message"));
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.sendResponseHeaders(200, 0);
        OutputStream out = exchange.getResponseBody();
        String body = "{\"model\":\"small\",\"stream\":true,\"messages\":" + history(chat) + "}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(gateway + "/chat/completions"))
            .version(HttpClient.Version.HTTP_1_1).header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        StringBuilder said = new StringBuilder();
        HttpResponse<java.io.InputStream> response =
            HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofInputStream());
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String piece = line.startsWith("data: ") ? field(line, "content") : "";
                if (!piece.isEmpty()) {
                    said.append(piece);
                    out.write(("data: " + piece.replace("\n", "\ndata: ") + "\n\n").getBytes(StandardCharsets.UTF_8));
                    out.flush();
                }
            }
        }
        String text = said.toString();
        switch (how) {
            case "before" -> save(chat, "assistant", text);
            case "detached" -> THREADS.submit(() -> save(chat, "assistant", text));
            case "both" -> CompletableFuture.allOf(
                CompletableFuture.runAsync(() -> save(chat, "assistant", text), THREADS),
                CompletableFuture.runAsync(Server::see, THREADS)).join();
            default -> { }
        }
        out.write("data: [DONE]\n\n".getBytes(StandardCharsets.UTF_8));
        out.flush();
        if (how.equals("after")) {
            save(chat, "assistant", text);
        }
        exchange.close();
    }

    public static void main(String[] args) throws Exception {
        url = "jdbc:sqlite:" + args[2];
        journal = args[3];
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL, "
                + "role TEXT NOT NULL, content TEXT NOT NULL)");
            statement.execute("CREATE TABLE IF NOT EXISTS seen (at INTEGER)");
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.setExecutor(THREADS);
        server.createContext("/health", exchange -> reply(exchange, 200, "{}"));
        server.createContext("/conversations", exchange -> {
            String[] parts = exchange.getRequestURI().getPath().split("/");
            try {
                if (parts.length > 2) {
                    reply(exchange, 200, history(parts[2]));
                } else {
                    reply(exchange, 201, "{\"id\":\"" + UUID.randomUUID() + "\"}");
                }
            } catch (SQLException error) {
                throw new IOException(error);
            }
        });
        server.createContext("/chat", exchange -> {
            try {
                chat(exchange, args[1], args[4]);
            } catch (Exception error) {
                error.printStackTrace();
                exchange.close();
            }
        });
        server.start();
    }
}
