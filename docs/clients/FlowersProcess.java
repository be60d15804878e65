// Keep `flowers stream` as a child process: a client without libraries, for Java 17 or later.
//
//     java FlowersProcess.java PHOTO...
//
// Copy this file into your program. It sends the bytes of photos (--framing raw), so that nothing
// needs to be written as JSON, and gives each answer as the line that came. `text` and `number` pick
// single fields out of it; use your JSON library for more.
// A child that dies or hangs fails what was in flight; make a new FlowersProcess then, as
// docs/embedding.md says.

import java.io.BufferedReader;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A child process that names flowers. Safe to share between threads. */
public final class FlowersProcess implements AutoCloseable {
    private static final int PROTOCOL = 1;
    private static final long START_SECONDS = 60;

    private final Process process;
    private final DataOutputStream requests;
    /** What waits for the next lines: answers come in the order of requests. Null when it died. */
    private Queue<CompletableFuture<String>> waiting = new ArrayDeque<>();
    private final Semaphore free;

    /** Starts the child and waits until it is ready; IOException if that fails. */
    public FlowersProcess() throws IOException, InterruptedException {
        process = new ProcessBuilder("flowers", "stream", "--framing", "raw")
                .redirectError(ProcessBuilder.Redirect.INHERIT) // nobody has to drain it
                .start();
        requests = new DataOutputStream(process.getOutputStream());
        CompletableFuture<String> first = expect(START_SECONDS);
        Thread reader = new Thread(this::read, "flowers-reader");
        reader.setDaemon(true);
        reader.start();
        try {
            String ready = first.get();
            if (number(ready, "protocol") != PROTOCOL) {
                throw new IOException("not protocol " + PROTOCOL + ": " + ready);
            }
            free = new Semaphore(2 * (int) number(ready, "workers")); // enough for all cores
        } catch (ExecutionException | IOException | RuntimeException error) {
            process.destroyForcibly();
            throw new IOException("the child didn't become ready", error);
        }
    }

    /**
     * Sends the bytes of a photo. Waits while enough are in flight already. The answer is a JSON
     * line whose status may be "error". It fails when the child dies, or gives no answer in time:
     * the child is killed then.
     */
    public CompletableFuture<String> classify(byte[] photo, long timeoutSeconds)
            throws InterruptedException {
        free.acquire();
        CompletableFuture<String> answer;
        synchronized (requests) { // one whole request at a time, in the order of `waiting`
            answer = expect(timeoutSeconds);
            try {
                requests.writeInt(photo.length); // big-endian
                requests.write(photo);
                requests.flush();
            } catch (IOException error) {
                answer.completeExceptionally(error); // the child is dead
            }
        }
        return answer.whenComplete((line, error) -> free.release());
    }

    /** Ends the child, which finishes what it was sent; kills it after 10 seconds. */
    @Override
    public void close() throws InterruptedException {
        try {
            requests.close();
        } catch (IOException alreadyDead) {
            // Then there is nothing to end.
        }
        if (!process.waitFor(10, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
    }

    private synchronized CompletableFuture<String> expect(long timeoutSeconds) {
        CompletableFuture<String> answer = new CompletableFuture<>();
        if (waiting == null) {
            answer.completeExceptionally(new IOException("the child is dead"));
            return answer;
        }
        waiting.add(answer);
        // Before the request is written: a child that hangs lets the write block until it is killed.
        answer.orTimeout(timeoutSeconds, TimeUnit.SECONDS).exceptionally(error -> {
            process.destroyForcibly();
            return null;
        });
        return answer;
    }

    private void read() {
        try (BufferedReader answers = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line; (line = answers.readLine()) != null; ) {
                if (!line.endsWith("}")) {
                    throw new IOException("not an answer: " + line); // it died while it wrote
                }
                next().complete(line);
            }
        } catch (IOException | RuntimeException error) {
            process.destroyForcibly();
        }
        Queue<CompletableFuture<String>> unanswered;
        synchronized (this) {
            unanswered = waiting;
            waiting = null;
        }
        unanswered.forEach(a -> a.completeExceptionally(new IOException("the child died")));
    }

    private synchronized CompletableFuture<String> next() {
        return waiting.remove();
    }

    /** The first text field of that name in a line, or null. */
    public static String text(String line, String name) {
        Matcher field = Pattern.compile("\"" + name + "\": \"((?:[^\"\\\\]|\\\\.)*)\"").matcher(line);
        return field.find() ? unescape(field.group(1)) : null;
    }

    /** The first number of that name in a line, or NaN. */
    public static double number(String line, String name) {
        Matcher field = Pattern.compile("\"" + name + "\": (-?[0-9.eE+-]+)").matcher(line);
        return field.find() ? Double.parseDouble(field.group(1)) : Double.NaN;
    }

    private static String unescape(String text) {
        return Pattern.compile("\\\\(u[0-9a-fA-F]{4}|.)").matcher(text).replaceAll(escape -> {
            String code = escape.group(1);
            String plain = switch (code.charAt(0)) {
                case 'u' -> String.valueOf((char) Integer.parseInt(code.substring(1), 16));
                case 'n' -> "\n";
                case 't' -> "\t";
                case 'r' -> "\r";
                case 'b' -> "\b";
                case 'f' -> "\f";
                default -> code;
            };
            return Matcher.quoteReplacement(plain);
        });
    }

    private static final PrintStream OUT =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

    /** Prints a line for each photo; exits with 1 if one couldn't be named, 3 without a child. */
    public static void main(String[] paths) throws Exception {
        boolean failed = false;
        try (FlowersProcess flowers = new FlowersProcess()) {
            List<CompletableFuture<String>> answers = new ArrayList<>();
            for (String path : paths) {
                try {
                    answers.add(flowers.classify(Files.readAllBytes(Path.of(path)), 10));
                } catch (IOException error) {
                    answers.add(CompletableFuture.failedFuture(error));
                }
            }
            for (int i = 0; i < paths.length; i++) {
                failed |= !print(paths[i], answers.get(i));
            }
        } catch (IOException error) {
            System.err.println("FlowersProcess: " + error.getMessage());
            System.exit(3);
        }
        System.exit(failed ? 1 : 0);
    }

    private static boolean print(String path, CompletableFuture<String> answer) throws Exception {
        String problem;
        try {
            String line = answer.get();
            if ("ok".equals(text(line, "status"))) {
                OUT.printf(Locale.ROOT, "%s: %s %.4f%n",
                        path, text(line, "label"), number(line, "confidence"));
                return true;
            }
            problem = text(line, "message");
        } catch (ExecutionException error) {
            problem = error.getCause().toString();
        }
        System.err.println(path + ": " + problem);
        return false;
    }
}
