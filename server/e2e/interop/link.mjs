// A TCP relay between the clients and the server, to cut connections below the
// protocol: what a client sees is a dead network, not a goodbye.
import net from "node:net";

/**
 * @param {number} port the server's port
 */
export async function link(port) {
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  let up = true;
  let deaf = false; // what the server says is swallowed
  const relay = net.createServer((near) => {
    if (!up) {
      near.destroy();
      return;
    }
    const far = net.connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (data) => {
        if (!(deaf && from === far)) {
          to.write(data);
        }
      });
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise((resolve) => relay.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = /** @type {net.AddressInfo} */ (relay.address());
  return {
    url: `http://127.0.0.1:${address.port}`,
    /** Cuts every connection and refuses new ones until mend. */
    cut() {
      up = false;
      for (const socket of sockets) {
        socket.destroy();
      }
    },
    mend() {
      up = true;
      deaf = false;
    },
    /** From now on the server's words get lost; the connections stay. */
    deafen() {
      deaf = true;
    },
    close() {
      this.cut();
      return new Promise((resolve) => relay.close(resolve));
    },
  };
}
