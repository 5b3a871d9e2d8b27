-- The sample shop, SQLite dialect. Same schema as postgres.sql.
-- Remarks stand inside the statements because sqlite_schema keeps their text.

CREATE TABLE customers ( -- People and firms with a shop account, including those who never ordered
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL, -- Full name in its original script
  email TEXT NOT NULL UNIQUE,
  city TEXT, -- City in its local spelling, NULL until the customer gives an address
  country TEXT NOT NULL, -- Country name in English
  segment TEXT NOT NULL CHECK (segment IN ('consumer', 'business', 'education')), -- Kind of buyer
  signed_up_on DATE NOT NULL,
  newsletter BOOLEAN NOT NULL CHECK (newsletter IN (0, 1)) -- Agreed to receive the newsletter
);

CREATE TABLE categories ( -- Product categories in two levels
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  parent_id INTEGER REFERENCES categories (id) -- NULL for a top-level category
);

CREATE TABLE products ( -- Everything the shop sells or has sold, always in a second-level category
  id INTEGER PRIMARY KEY,
  sku TEXT NOT NULL UNIQUE, -- Stock keeping unit, the article number printed on the box
  name TEXT NOT NULL,
  category_id INTEGER NOT NULL REFERENCES categories (id),
  price NUMERIC(10,2) NOT NULL CHECK (price > 0), -- Current list price in EUR, past sales keep theirs in order_items.unit_price
  cost NUMERIC(10,2), -- Purchase cost in EUR, NULL when the supplier has not confirmed it
  active BOOLEAN NOT NULL CHECK (active IN (0, 1)), -- Still on sale
  discontinued_on DATE, -- Last day on sale, NULL while active
  CHECK (active = (discontinued_on IS NULL))
);

CREATE TABLE orders ( -- One row for each order, see order_items for its lines
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  ordered_at TIMESTAMP NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'shipped', 'delivered', 'cancelled', 'returned')), -- pending waits for payment, processing is being packed
  shipped_at TIMESTAMP, -- NULL until the parcel leaves the warehouse
  channel TEXT NOT NULL CHECK (channel IN ('web', 'mobile', 'phone', 'marketplace')), -- Where the order was placed
  CHECK (shipped_at > ordered_at)
);

CREATE TABLE order_items ( -- Lines of an order, one product each
  order_id INTEGER NOT NULL REFERENCES orders (id),
  line_no INTEGER NOT NULL, -- Counts from 1 within the order
  product_id INTEGER NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  unit_price NUMERIC(10,2) NOT NULL, -- Price of one unit in EUR on the day of the order
  discount NUMERIC(10,2) CHECK (discount > 0), -- EUR taken off the whole line, NULL when there is none
  PRIMARY KEY (order_id, line_no)
);

CREATE TABLE payments ( -- Payment attempts, an order can have none or several
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders (id),
  method TEXT NOT NULL CHECK (method IN ('card', 'wallet', 'bank_transfer', 'invoice')),
  amount NUMERIC(10,2) NOT NULL CHECK (amount > 0), -- EUR, always the full order total
  paid_at TIMESTAMP, -- When the money arrived, NULL for pending and failed payments
  status TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'failed', 'refunded')), -- refunded was paid first and given back later
  CHECK ((paid_at IS NOT NULL) = (status IN ('paid', 'refunded')))
);

CREATE TABLE reviews ( -- Product reviews, only by customers who received the product
  id INTEGER PRIMARY KEY,
  product_id INTEGER NOT NULL REFERENCES products (id),
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  rating INTEGER NOT NULL CHECK (rating BETWEEN 1 AND 5), -- 1 is worst, 5 is best
  title TEXT,
  body TEXT, -- NULL when the customer left stars only
  written_on DATE NOT NULL,
  UNIQUE (product_id, customer_id)
);

CREATE INDEX categories_parent_id_idx ON categories (parent_id);
CREATE INDEX products_category_id_idx ON products (category_id);
CREATE INDEX orders_customer_id_idx ON orders (customer_id);
CREATE INDEX orders_ordered_at_idx ON orders (ordered_at);
CREATE INDEX order_items_product_id_idx ON order_items (product_id);
CREATE INDEX payments_order_id_idx ON payments (order_id);
CREATE INDEX reviews_customer_id_idx ON reviews (customer_id);

CREATE VIEW order_totals AS -- One row for each order with its units and its total in EUR after discounts
SELECT
  o.id AS order_id,
  o.customer_id,
  o.ordered_at,
  o.status,
  SUM(i.quantity) AS items, -- Units, not lines
  ROUND(SUM(i.quantity * i.unit_price - COALESCE(i.discount, 0)), 2) AS total
FROM orders AS o
JOIN order_items AS i ON i.order_id = o.id
GROUP BY o.id, o.customer_id, o.ordered_at, o.status;
