// Keeps the site for use without a network, and adds the headers that threads need: a static host sends none.

importScripts('./files.js'); // SITE: {version, first, later}; a new one makes the browser install this again

const scope = self.registration.scope;
const prefix = `swath ${scope} `;
const name = prefix + SITE.version;
const urls = new Set([...SITE.first, ...SITE.later].map((file) => new URL(file, scope).href));

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  url.search = url.hash = '';
  const wanted = url.href === scope ? new URL('index.html', scope).href : url.href;
  if (event.request.method === 'GET' && urls.has(wanted)) event.respondWith(answer(wanted));
});

async function install() {
  const cache = await caches.open(name);
  // "no-cache" asks the server whether what the page has just loaded is still right, and loads only what is not.
  await cache.addAll(SITE.first.map((file) => new Request(new URL(file, scope), { cache: 'no-cache' })));
  await self.skipWaiting();
}

async function activate() {
  for (const key of await caches.keys()) if (key.startsWith(prefix) && key !== name) await caches.delete(key);
  await self.clients.claim();
}

async function answer(url) {
  const cache = await caches.open(name);
  let response = await cache.match(url);
  if (!response) {
    response = await fetch(url, { cache: 'no-cache' });
    if (response.ok) await cache.put(url, response.clone());
  }
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  headers.set('Content-Security-Policy', SITE.policy);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
