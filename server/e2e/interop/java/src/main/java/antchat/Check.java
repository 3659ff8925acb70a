package antchat;

import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * Two clients of this library over one way: Check URL TEXTS WAY ROOM. WAY is
 * polling, websocket or upgrade. Ends with an error if anything is not as it
 * should be.
 */
public final class Check {
    private static final long DEADLINE = 30;

    public static void main(String[] args) throws Exception {
        try {
            new Check(args[0], args[1], args[2], args[3]).run();
            System.out.println("ok: " + args[2] + " " + args[3]);
            System.exit(0);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    private final String url;
    private final JSONObject texts;
    private final String[] transports;
    private final String room;

    private Check(String url, String texts, String way, String room) throws Exception {
        this.url = url;
        this.texts = new JSONObject(new String(Files.readAllBytes(Path.of(texts)), "UTF-8"));
        this.transports = way.equals("upgrade") ? new String[] {"polling", "websocket"} : new String[] {way};
        this.room = room;
    }

    private void run() throws Exception {
        Client one = new Client();
        Client two = new Client();
        equal("하나", one.call("add user", "하나").getString("username"), "the name");
        one.call("join room", new JSONObject().put("room", room));
        two.call("join room", new JSONObject().put("room", room));

        int seq = 0;
        for (String script : new TreeSet<>(keys(texts))) {
            String text = texts.getString(script);
            JSONObject ack = one.call("new message", message(text, script));
            equal(++seq, ack.getInt("seq"), "the ack's seq");
            equal(seq, one.call("new message", message(text, script)).getInt("seq"), "the retry's seq");
            JSONObject got = (JSONObject) two.next("new message")[0];
            equal(text, got.getString("message"), script);
            equal("하나", got.getString("username"), "the name");
        }
        String longest = "가".repeat(4000);
        one.call("new message", message(longest, "longest"));
        equal(longest, ((JSONObject) two.next("new message")[0]).getString("message"), "a long text");

        // What somebody else's client wrote before.
        JSONArray before = one.call("history", new JSONObject().put("room", "written by node")).getJSONArray("messages");
        List<String> expected = new ArrayList<>();
        List<String> found = new ArrayList<>();
        for (String script : new TreeSet<>(keys(texts))) expected.add(texts.getString(script));
        for (int i = 0; i < before.length(); i++) found.add(before.getJSONObject(i).getString("message"));
        equal(expected, found, "what Node wrote");

        byte[] bytes = new byte[1000];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (i * 7);
        one.socket.emit("file", room, new JSONObject().put("name", "파일").put("bytes", bytes));
        Object[] file = two.next("file");
        JSONObject content = (JSONObject) file[1];
        equal("파일", content.getString("name"), "the file's name");
        if (!Arrays.equals(bytes, (byte[]) content.get("bytes"))) throw new AssertionError("the file's bytes differ");

        JSONObject refusal = one.raw("no such event", new JSONObject());
        equal("unknown_event", refusal.getJSONObject("error").getString("code"), "an unknown event");

        // Over the limit: this connection ends, and the client comes back.
        one.events.clear();
        one.socket.emit("new message", message("x".repeat(1_010_000), "too long"));
        one.next(Socket.EVENT_DISCONNECT);
        one.next(Socket.EVENT_CONNECT);
        one.call("join room", new JSONObject().put("room", room));
        one.call("leave room", new JSONObject().put("room", room));
        one.socket.close();
        two.socket.close();
    }

    private JSONObject message(String text, String id) throws Exception {
        return new JSONObject().put("room", room).put("message", text).put("id", id);
    }

    private static List<String> keys(JSONObject o) {
        List<String> keys = new ArrayList<>();
        o.keys().forEachRemaining(k -> keys.add((String) k));
        return keys;
    }

    private static void equal(Object want, Object got, String what) {
        if (!want.equals(got)) throw new AssertionError(what + ": want " + want + ", got " + got);
    }

    private final class Client {
        final Socket socket;
        final BlockingQueue<Object[]> events = new LinkedBlockingQueue<>();

        Client() throws Exception {
            IO.Options options = new IO.Options();
            options.transports = transports;
            options.forceNew = true;
            options.reconnectionDelay = 50;
            options.reconnectionDelayMax = 200;
            socket = IO.socket(url, options);
            for (String event : new String[] {Socket.EVENT_CONNECT, Socket.EVENT_DISCONNECT, "new message", "file"}) {
                socket.on(event, args -> {
                    Object[] named = new Object[args.length + 1];
                    named[0] = event;
                    System.arraycopy(args, 0, named, 1, args.length);
                    events.add(named);
                });
            }
            socket.connect();
            next(Socket.EVENT_CONNECT);
        }

        /** The arguments of the next event of that name. */
        Object[] next(String event) throws Exception {
            for (;;) {
                Object[] named = events.poll(DEADLINE, TimeUnit.SECONDS);
                if (named == null) throw new AssertionError("no " + event);
                if (named[0].equals(event)) return Arrays.copyOfRange(named, 1, named.length);
            }
        }

        JSONObject raw(String event, Object payload) throws Exception {
            BlockingQueue<Object[]> answer = new LinkedBlockingQueue<>();
            socket.emit(event, new Object[] {payload}, (Ack) answer::add);
            Object[] args = answer.poll(DEADLINE, TimeUnit.SECONDS);
            if (args == null) throw new AssertionError("no ack of " + event);
            return (JSONObject) args[0];
        }

        JSONObject call(String event, Object payload) throws Exception {
            JSONObject answer = raw(event, payload);
            if (answer.has("error")) throw new AssertionError(event + ": " + answer);
            return answer;
        }
    }
}
