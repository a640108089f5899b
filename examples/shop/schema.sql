-- What the shop keeps. It is run whole at every start, and changes nothing where all is there already.

-- Ids that sort by when they were made, to the millisecond: UUIDs of version 7 (RFC 9562, section 5.7). The database
-- makes them, as it reads the clock: then no two processes disagree, and nothing in Python has to be told the time.
CREATE OR REPLACE FUNCTION ordered_uuid() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_bit(set_bit(overlay(
            uuid_send(gen_random_uuid())
            PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
        ), 52, 1), 53, 1),
        'hex'
    )::uuid
$$;

-- What can be bought. Of on_hand so many are reserved by orders whose payment has not ended; the rest is for sale.
-- on_hand may fall below zero: money that comes late is for goods that may be sold by then, and a check here would only
-- keep us from hearing of it. at_start never changes, so that at_start - on_hand is what was taken out.
CREATE TABLE IF NOT EXISTS products (
    sku         text PRIMARY KEY,
    name        text NOT NULL,
    price_cents bigint NOT NULL CHECK (price_cents > 0),
    at_start    integer NOT NULL CHECK (at_start >= 0),
    on_hand     integer NOT NULL CHECK (on_hand <= at_start),
    reserved    integer NOT NULL DEFAULT 0 CHECK (reserved >= 0)
);

-- Orders. status says what became of the order, stock what became of its reservation, and the two go their own ways:
-- nothing but an inventory adjustment takes goods out, and money may come for an order that is cancelled.
-- refunded_cents may exceed paid_cents for a moment: the two are heard on different topics.
CREATE TABLE IF NOT EXISTS orders (
    order_id       text PRIMARY KEY,
    event_id       uuid NOT NULL UNIQUE,
    status         text NOT NULL DEFAULT 'placed' CHECK (status IN ('placed', 'paid', 'cancelled', 'refused')),
    stock          text NOT NULL DEFAULT 'reserved' CHECK (stock IN ('reserved', 'let_go', 'taken')),
    customer_id    text NOT NULL,
    email          text NOT NULL,
    payment_method text NOT NULL,
    off_session    boolean NOT NULL,
    amount_cents   bigint NOT NULL CHECK (amount_cents > 0),
    currency       text NOT NULL DEFAULT 'EUR',
    paid_cents     bigint NOT NULL DEFAULT 0 CHECK (paid_cents >= 0),
    refunded_cents bigint NOT NULL DEFAULT 0 CHECK (refunded_cents >= 0),
    payment_id     uuid,
    reason         text,
    placed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((status IN ('cancelled', 'refused')) = (reason IS NOT NULL))
);

CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, order_id);

-- What was ordered, at the price of that moment.
CREATE TABLE IF NOT EXISTS order_lines (
    order_id    text NOT NULL REFERENCES orders,
    sku         text NOT NULL REFERENCES products,
    quantity    integer NOT NULL CHECK (quantity > 0),
    price_cents bigint NOT NULL,
    PRIMARY KEY (order_id, sku)
);

-- How each refund ended, as last heard. A bank may send back what was processed: the higher sequence counts.
CREATE TABLE IF NOT EXISTS refunds (
    refund_id    uuid PRIMARY KEY,
    order_id     text NOT NULL REFERENCES orders,
    sequence     bigint NOT NULL,
    amount_cents bigint NOT NULL CHECK (amount_cents >= 0),
    processed    boolean NOT NULL
);

CREATE INDEX IF NOT EXISTS refunds_by_order ON refunds (order_id);

-- What the shop says, written in the transaction that makes it true. Counterfoil's outbox-publisher reads it, sends each
-- row to Kafka and sets published_at; of one aggregate in the order of created_at, then event_id. created_at is the
-- moment of the insert and not the transaction's begin: whoever waited for an order's lock comes behind who held it.
CREATE TABLE IF NOT EXISTS outbox (
    event_id     uuid PRIMARY KEY,
    aggregate    text NOT NULL,
    aggregate_id text NOT NULL,
    event_type   text NOT NULL,
    payload      jsonb NOT NULL,
    tenant_id    text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);

CREATE INDEX IF NOT EXISTS outbox_unpublished ON outbox (created_at, event_id) WHERE published_at IS NULL;

CREATE OR REPLACE FUNCTION outbox_has_news() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY outbox;
    RETURN NULL;
END
$$;

-- Once for a statement, and PostgreSQL tells once for a transaction, when it commits.
CREATE OR REPLACE TRIGGER outbox_has_news AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_has_news();

-- Which messages have had their effect: the inbox. A message may come twice, and has one effect.
CREATE TABLE IF NOT EXISTS heard (
    message_id text PRIMARY KEY,
    heard_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Messages that could not be read, as they came, for a person to look at.
CREATE TABLE IF NOT EXISTS unreadable (
    topic        text NOT NULL,
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    key          bytea,
    value        bytea,
    why          text NOT NULL,
    put_aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, partition, "offset")
);

-- The catalogue: plenty of everything but one thing, so that being out of stock can be seen.
INSERT INTO products (sku, name, price_cents, at_start, on_hand)
SELECT sku, name, price_cents, stock, stock
FROM (VALUES
    ('tea-sencha', 'Sencha, 100 g', 1290, 100000),
    ('tea-assam', 'Assam, 250 g', 1850, 100000),
    ('tea-rooibos', 'Rooibos, 100 g', 690, 100000),
    ('cup-white', 'Cup, white', 1150, 100000),
    ('pot-iron', 'Pot of cast iron', 8900, 100000),
    ('kettle-copper', 'Kettle of copper', 24900, 100000),
    ('tray-walnut', 'Tray of walnut, made by hand', 15900, 25)
) AS catalogue (sku, name, price_cents, stock)
ON CONFLICT (sku) DO NOTHING;
