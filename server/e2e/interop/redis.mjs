// A Redis of the test's own, in memory.
import { spawn } from "node:child_process";
import net from "node:net";
import { until } from "./clients.mjs";

/** Starts it, and gives its address and what ends it. */
export async function redis() {
  const probe = net.createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {net.AddressInfo} */ (probe.address());
  await new Promise((resolve) => probe.close(resolve));
  const bin = process.env.ANTCHAT_TEST_REDIS || "redis-server";
  const child = spawn(bin, ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], { stdio: "ignore" });
  /** @type {Error | undefined} */
  let failed;
  child.on("error", (error) => (failed = error));
  await until(() => {
    if (failed || child.exitCode !== null) {
      throw failed ?? new Error(`redis-server ended with code ${child.exitCode}`);
    }
    return new Promise((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => { socket.destroy(); resolve(true); });
      socket.on("error", () => resolve(false));
    });
  }, "redis-server");
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: () => new Promise((resolve) => { child.on("exit", resolve); child.kill("SIGKILL"); }),
  };
}
