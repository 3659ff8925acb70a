// A TCP relay between the clients and the server, to cut connections below the
// protocol: what a client sees is a dead network, not a goodbye.
import net from "node:net";

/**
 * @param {number} port the server's port
 */
export async function link(port) {
  /** @type {Set<{near: net.Socket, far: net.Socket, lost: boolean}>} */
  const pairs = new Set();
  let up = true;
  let deaf = false; // what the server says is swallowed
  const relay = net.createServer((near) => {
    if (!up) {
      near.destroy();
      return;
    }
    const far = net.connect(port, "127.0.0.1");
    const pair = { near, far, lost: false };
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      from.setNoDelay(true);
      from.on("data", (data) => {
        if (!pair.lost && !(deaf && from === far)) {
          to.write(data);
        }
      });
      from.on("error", () => {});
      from.on("close", () => {
        if (!pair.lost) {
          to.destroy();
        }
        if (near.destroyed && far.destroyed) {
          pairs.delete(pair);
        }
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
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
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
    /**
     * Nothing passes the connections that there are any more, in either
     * direction, and neither side is told. New ones are as ever.
     */
    lose() {
      for (const pair of pairs) {
        pair.lost = true;
      }
    },
    /**
     * A device that changes its network: its own connections break at once, and
     * the server hears nothing of it. It can connect anew.
     */
    change() {
      for (const pair of pairs) {
        pair.lost = true;
        pair.near.destroy();
      }
    },
    /** How many connections only the server still believes in. */
    halfOpen: () => [...pairs].filter(({ near, far }) => near.destroyed && !far.destroyed).length,
    close() {
      this.cut();
      return new Promise((resolve) => relay.close(resolve));
    },
  };
}
