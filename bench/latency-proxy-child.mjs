// Stands in front of a server (its URL is the first argument) and hands every chunk of a client on so many milliseconds
// later (the second): each call takes that much longer, however many there are at once. Answers pass at once.
import { connect, createServer } from 'node:net';

const [target, delayMs] = process.argv.slice(2);
const { hostname, port } = new URL(target);

const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
  client.on('data', (chunk) => setTimeout(() => upstream.write(chunk), Number(delayMs)));
  client.on('end', () => setTimeout(() => upstream.end(), Number(delayMs)));
  upstream.pipe(client);
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ]) {
    one.on('error', () => other.destroy());
  }
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}\n`);
});
process.stdin.on('end', () => process.exit(0)).resume();
