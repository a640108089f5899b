// What a program with Stripe's own SDK for Node sees, one scenario a run: node proof.mjs SANDBOX SCENARIO.
// It prints what it saw in JSON; test_node_sdk.py says what it should have seen.

import { createServer } from "node:http";
import Stripe from "stripe";

const [address, scenario] = process.argv.slice(2);
const { hostname, port } = new URL(address);

function client(options = {}) {
  return new Stripe("sk_test_node", { host: hostname, port, protocol: "http", maxNetworkRetries: 0, ...options });
}

const payment = { amount: 1999, currency: "eur", payment_method_types: ["card"], confirm: true };

const scenarios = {
  async pays() {
    const paid = await client().paymentIntents.create({
      ...payment,
      payment_method: "pm_card_visa",
      metadata: { order: "7" },
      expand: ["latest_charge.balance_transaction"],
    });
    return [paid.status, paid.amount_received, paid.metadata.order, paid.latest_charge.payment_method_details.card.last4];
  },

  async declines() {
    try {
      await client().paymentIntents.create({ ...payment, payment_method: "pm_card_chargeDeclinedInsufficientFunds" });
    } catch (error) {
      return [error instanceof Stripe.errors.StripeCardError, error.statusCode, error.code, error.decline_code,
        error.payment_intent.status];
    }
  },

  async authenticates() {
    const stripe = client();
    const asking = await stripe.paymentIntents.create({
      ...payment,
      payment_method: "pm_card_threeDSecure2Required",
      return_url: "https://shop.example/back",
    });
    const bank = asking.next_action.redirect_to_url.url;
    const form = new URLSearchParams({ outcome: "approve" });
    const answered = await fetch(bank, { method: "POST", body: form, redirect: "manual" });
    const back = new URL(answered.headers.get("location"));
    const paid = await stripe.paymentIntents.retrieve(back.searchParams.get("payment_intent"));
    return [asking.status, back.origin, back.searchParams.get("redirect_status"), paid.status];
  },

  async replays() {
    const stripe = client();
    const sent = { ...payment, payment_method: "pm_card_visa" };
    const first = await stripe.paymentIntents.create(sent, { idempotencyKey: "order-7" });
    const second = await stripe.paymentIntents.create(sent, { idempotencyKey: "order-7" });
    const charges = await stripe.charges.list({ payment_intent: first.id });
    let refused;
    try {
      await stripe.paymentIntents.create({ ...sent, amount: 2999 }, { idempotencyKey: "order-7" });
    } catch (error) {
      refused = error instanceof Stripe.errors.StripeIdempotencyError;
    }
    return [first.id === second.id, second.lastResponse.headers["idempotent-replayed"], charges.data.length, refused];
  },

  async survives() {
    await fetch(`${address}/_sandbox/faults`, {
      method: "POST",
      body: JSON.stringify([{ fault: "lose_answer", method: "POST" }, { fault: "error", status: 503, method: "POST" }]),
    });
    const stripe = client({ maxNetworkRetries: 2 });
    const paid = await stripe.paymentIntents.create({ ...payment, payment_method: "pm_card_visa" });
    const charges = await stripe.charges.list({ limit: 100 });
    return [paid.status, charges.data.length];
  },

  async pages() {
    const stripe = client();
    const customer = await stripe.customers.create({ name: "Zoë" });
    const made = [];
    for (let number = 0; number < 7; number += 1) {
      made.push((await stripe.paymentIntents.create({ amount: 1000 + number, currency: "usd", customer: customer.id })).id);
    }
    const listed = [];
    for await (const intent of stripe.paymentIntents.list({ customer: customer.id, limit: 3 })) {
      listed.push(intent.id);
    }
    const page = await stripe.paymentIntents.list({ customer: customer.id, limit: 3, ending_before: made[0] });
    return [JSON.stringify(listed) === JSON.stringify(made.reverse()), page.data.length, page.has_more];
  },

  async hears() {
    const stripe = client();
    let endpoint;
    const heard = new Promise((resolve) => {
      const server = createServer(async (request, response) => {
        const pieces = [];
        for await (const piece of request) pieces.push(piece);
        response.writeHead(200).end();
        server.close();
        const body = Buffer.concat(pieces);
        const signature = request.headers["stripe-signature"];
        const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
        let refused;
        try {
          stripe.webhooks.constructEvent(body, signature, "whsec_other");
        } catch (error) {
          refused = error instanceof Stripe.errors.StripeSignatureVerificationError;
        }
        resolve([event.type, event.api_version, event.data.object.amount, refused]);
      }).listen(0, "127.0.0.1", async () => {
        endpoint = await stripe.webhookEndpoints.create({
          url: `http://127.0.0.1:${server.address().port}/`,
          enabled_events: ["payment_intent.succeeded"],
        });
        await stripe.paymentIntents.create({ ...payment, payment_method: "pm_card_visa" });
      });
    });
    return heard;
  },
};

// The SDK never reads the body of an answer that it retries, and the open socket would keep this process for long.
process.stdout.write(JSON.stringify(await scenarios[scenario]()), () => process.exit(0));
