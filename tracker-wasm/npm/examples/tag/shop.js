// A page of a site that pastes the tag and builds nothing. Calls before the tag's script is there go into a list, which
// it takes over.

const tell = (...call) => {
  window.segments ||= [];
  if (Array.isArray(segments)) segments.push(call);
  else segments[call[0]](...call.slice(1));
};

const product = { product_id: 'G-32', name: 'Kettle', category: 'Gear', price: 49.9, currency: 'EUR' };
tell('track', 'Product Viewed', product);

const on = (id, run) => document.getElementById(id).addEventListener('click', run);

on('add', () => tell('track', 'Product Added', { ...product, quantity: 1 }));
on('log-in', () => tell('identify', 'customer-17', { email: 'mia@mail.example', plan: 'pro' }));
on('buy', () => {
  const order_id = document.getElementById('order').textContent;
  const products = [{ ...product, quantity: 1 }];
  tell('track', 'Order Completed', { order_id, total: 52.9, shipping: 3, currency: 'EUR', products });
});
on('refuse', () => tell('consent', 'measure'));
// `choose` needs no code: its attributes say what is told.

tell('ready', ({ engine }) => (document.getElementById('engine').textContent = engine));
