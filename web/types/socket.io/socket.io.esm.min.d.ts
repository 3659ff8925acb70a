// What the page uses of the official client. The server hands its bundle out
// at socket.io/ beside the page; jsconfig.json lays this folder over page/.

export interface Socket {
  readonly connected: boolean;
  readonly recovered: boolean;
  readonly volatile: Socket;
  timeout(ms: number): Socket;
  connect(): this;
  disconnect(): this;
  emit(event: string, ...args: unknown[]): this;
  emitWithAck(event: string, ...args: unknown[]): Promise<unknown>;
  on(event: string, listener: (...args: any[]) => void): this;
}

export interface Options {
  path?: string;
  auth?: object;
  autoConnect?: boolean;
  reconnection?: boolean;
  timeout?: number;
}

export function io(url: string, options?: Options): Socket;
