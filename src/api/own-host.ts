const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/**
 * True when a Host header names this machine's loopback (also behind the prefixes that AWS SDKs put in front) or the
 * host that the server was told to serve.
 *
 * @param hostHeader - `host` or `host:port`
 * @param servedHost - value of `--host`
 */
export function isOwnHost(hostHeader: string | undefined, servedHost: string): boolean {
  if (hostHeader === undefined) return false;
  const name = hostHeader
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^(runtime|dicom)-/, '');
  if (loopbackNames.includes(name) || /^127(\.\d{1,3}){3}$/.test(name)) return true;
  const served = servedHost.toLowerCase();
  const anyAddress = served === '0.0.0.0' || served === '::';
  return !anyAddress && (name === served || name === `[${served}]`);
}
