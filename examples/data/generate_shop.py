"""Generates the sample shop in examples/data/shop: the same bytes every time.

    python3 examples/data/generate_shop.py [folder]

A fictional coffee shop's two years, as its tools would export them, with the blemishes of real exports and with
facts put in on purpose (see the README it lies beside). Standard library only.
"""

import csv
import random
import sys
from datetime import date, timedelta
from pathlib import Path

SEED = 20251231
FIRST, LAST = date(2024, 1, 1), date(2025, 12, 31)
ANOMALY = (date(2025, 3, 10), date(2025, 3, 16))
DUPLICATED_ORDER = 10_777

CATALOGUE = {
    "Coffee": [("Espresso Blend 1 kg", 24.90), ("House Blend 250 g", 8.90), ("Ethiopia Yirgacheffe 250 g", 12.50),
               ("Colombia Huila 250 g", 11.90), ("Decaf 250 g", 9.50), ("Cold Brew Pack", 14.90), ("Kenya AA 250 g", 13.90)],
    "Tea": [("Earl Grey 100 g", 7.90), ("Sencha 100 g", 9.90), ("Rooibos 100 g", 6.90), ("Chai Mix 200 g", 8.50), ("Assam 100 g", 7.50)],
    "Brewing": [("Ceramic Dripper", 22.00), ("Gooseneck Kettle", 64.00), ("French Press 1 l", 34.50), ("Moka Pot 6 Cups", 29.90),
                ("Paper Filters 100", 5.90), ("Travel Press", 27.90), ("Digital Scale", 39.00)],
    "Grinders": [("Hand Grinder", 79.00), ("Electric Grinder", 149.00), ("Grinder Brush", 6.50)],
    "Cups": [("Espresso Cup Set", 26.00), ("Latte Mug", 12.90), ("Travel Mug", 21.50), ("Glass Cup Double Wall", 15.90)],
    "Sweets": [("Dark Chocolate 100 g", 4.50), ("Almond Biscotti", 5.50), ("Salted Caramel Fudge", 6.20), ("Gift Box", 45.00)],
}
SUPPLIERS = ["Bergmann Rösterei", "Northwind Ceramics", "Mistral Tea Co", "Hausgerät AG", "Olivia Sweets"]
FIRST_NAMES = "Anna Ben Clara David Elena Felix Greta Hugo Ida Jonas Karla Leo Mia Noah Olga Paul Rosa Simon Tara Viktor".split()
LAST_NAMES = "Adler Brandt Costa Dubois Evans Fischer Garcia Huber Ivanov Jensen Keller Lopez Moreau Novak Owens Peters Rossi Schmidt Taylor Weber".split()
PLACES = [("Berlin", "Germany", 30), ("Hamburg", "Germany", 18), ("Munich", "Germany", 16), ("Vienna", "Austria", 10), ("Zurich", "Switzerland", 6),
          ("Paris", "France", 8), ("Milan", "Italy", 5), ("London", "United Kingdom", 5), ("Manchester", "United Kingdom", 2)]
SEGMENTS = [("Private", 70), ("Office", 20), ("Restaurant", 10)]
CHANNELS = [("Online", 60), ("Store", 30), ("Phone", 10)]
LOW_STOCK = {"Digital Scale": (3, 12), "Hand Grinder": (0, 8), "Gift Box": (7, 25), "Sencha 100 g": (9, 20)}


def weighted(rng, pairs):
    return rng.choices([p[:-1] if len(p) > 2 else p[0] for p in pairs], weights=[p[-1] for p in pairs])[0]


def money(cents):
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def german(cents):
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}".replace(",", ".") + f",{rest:02d}"


def write(folder, name, header, rows, **style):
    with open(folder / name, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n", **style)
        writer.writerow(header)
        writer.writerows(rows)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "shop")
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(SEED)
    products = make_products(rng)
    customers = make_customers(rng)
    orders, lines = make_orders(rng, products, customers)
    invoices, payments = make_invoices(rng, customers, orders, lines)

    write(folder, "products.csv", ["product_id", "product", "category", "supplier", "unit_cost", "list_price"],
          [[p["id"], p["name"], p["category"], p["supplier"], money(p["cost"]), money(p["price"])] for p in products])
    write(folder, "customers.csv", ["customer_id", "customer", "segment", "city", "country", "email", "customer_since"],
          [[c["id"], c["shown"], c["segment"], c["city"], c["country"], c["email"], c["since"].isoformat()] for c in customers])
    order_rows = [[o["id"], o["customer"]["id"], o["date"].isoformat(), o["channel"], o["status"]] for o in orders]
    line_rows = [[l["order"], l["number"], l["product"]["id"], l["quantity"], money(l["price"]), money(l["discount"])] for l in lines]
    # One order was exported twice, head and lines.
    order_rows += [row for row in order_rows if row[0] == DUPLICATED_ORDER]
    line_rows += [row for row in line_rows if row[0] == DUPLICATED_ORDER]
    # Three quantities that are no numbers, as somebody typed them.
    for index, typed in ((1_234, "two"), (9_876, "?"), (15_555, "1 box")):
        line_rows[index] = [*line_rows[index][:3], typed, *line_rows[index][4:]]
    write(folder, "orders.csv", ["order_id", "customer_id", "order_date", "channel", "status"], order_rows)
    write(folder, "order_lines.csv", ["order_id", "line_no", "product_id", "quantity", "unit_price", "discount"], line_rows)
    # The accounting tool is German: semicolons, decimal commas, days first.
    write(folder, "invoices.csv", ["invoice_id", "order_id", "customer_id", "invoice_date", "due_date", "amount", "currency", "status"],
          [[i["id"], i["order"], i["customer"], f"{i['date']:%d.%m.%Y}", f"{i['due']:%d.%m.%Y}", german(i["amount"]), i["currency"], i["status"]] for i in invoices],
          delimiter=";")
    write(folder, "payments.tsv", ["payment_id", "invoice_id", "payment_date", "amount", "currency", "method"],
          [[p["id"], p["invoice"], p["date"].isoformat(), money(p["amount"]), p["currency"], p["method"]] for p in payments], delimiter="\t")
    write(folder, "stock.csv", ["product_id", "warehouse", "on_hand", "reorder_level", "last_count"], make_stock(rng, products))


def make_products(rng):
    products = []
    for category, items in CATALOGUE.items():
        for name, price in items:
            cents = round(price * 100)
            products.append({"id": f"P{len(products) + 1:03d}", "name": name, "category": category, "price": cents,
                             "supplier": rng.choice(SUPPLIERS), "cost": round(cents * rng.uniform(0.45, 0.7)),
                             "weight": rng.uniform(0.4, 1.6) * (2.2 if category == "Coffee" else 1.0)})
    return products


def make_customers(rng):
    customers = []
    for number in range(1, 641):
        city, country = weighted(rng, PLACES)
        name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
        segment = weighted(rng, SEGMENTS)
        if segment != "Private":
            name = f"{rng.choice(LAST_NAMES)} {'Café' if segment == 'Restaurant' else 'GmbH'} {number}"
        # Some names were pasted with blanks around them, some mail addresses are missing.
        shown = f"  {name} " if rng.random() < 0.02 else name
        email = "" if rng.random() < 0.07 else f"{name.split()[0].lower()}.{number}@example.com".replace("é", "e")
        customers.append({"id": 5_000 + number, "shown": shown, "segment": segment, "city": city, "country": country, "email": email,
                          "since": FIRST - timedelta(days=rng.randrange(30, 1_500)),
                          "weight": rng.paretovariate(1.6) * (4 if segment == "Restaurant" else 2 if segment == "Office" else 1)})
    return customers


def make_orders(rng, products, customers):
    orders, lines, number = [], [], 10_000
    buyers, buyer_weights = customers, [c["weight"] for c in customers]
    goods, good_weights = products, [p["weight"] for p in products]
    for offset in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=offset)
        growth = 1 + 0.25 * offset / 730
        season = 1.5 if day.month in (11, 12) else 0.85 if day.month in (7, 8) else 1.0
        weekday = 0.6 if day.weekday() == 6 else 1.25 if day.weekday() == 5 else 1.0
        expected = 11.8 * growth * season * weekday
        # A broken checkout: in one week hardly anybody could order.
        if ANOMALY[0] <= day <= ANOMALY[1]:
            expected *= 0.12
        for _ in range(int(expected + rng.random())):
            number += 1
            customer = rng.choices(buyers, weights=buyer_weights)[0]
            status = weighted(rng, [("completed", 94), ("cancelled", 2), ("returned", 4)])
            orders.append({"id": number, "customer": customer, "date": day, "channel": weighted(rng, CHANNELS), "status": status})
            bulk = 4 if customer["segment"] == "Restaurant" else 2 if customer["segment"] == "Office" else 1
            chosen = []
            for _ in range(rng.choice([1, 1, 2, 2, 3, 4])):
                product = rng.choices(goods, weights=good_weights)[0]
                if product not in chosen:
                    chosen.append(product)
            for line_number, product in enumerate(chosen, 1):
                quantity = rng.choice([1, 1, 1, 2, 2, 3]) * bulk
                gross = quantity * product["price"]
                discount = round(gross * rng.choice([0.05, 0.1, 0.15])) if rng.random() < 0.2 else 0
                lines.append({"order": number, "number": line_number, "product": product, "quantity": quantity,
                              "price": product["price"], "discount": discount})
            if status == "returned":
                back = lines[-1]
                lines.append({**back, "number": back["number"] + 1, "quantity": -back["quantity"], "discount": -back["discount"]})
    return orders, lines


def make_invoices(rng, customers, orders, lines):
    totals = {}
    for line in lines:
        totals[line["order"]] = totals.get(line["order"], 0) + line["quantity"] * line["price"] - line["discount"]
    overdue_customers = {c["id"] for c in sorted(customers, key=lambda c: -c["weight"])[3:9]}
    invoices, payments = [], []
    for order in orders:
        customer = order["customer"]
        if order["status"] == "cancelled" or customer["segment"] == "Private" or totals[order["id"]] <= 0:
            continue
        british = customer["country"] == "United Kingdom"
        amount = round(totals[order["id"]] * (0.85 if british else 1))
        issued = order["date"]
        due = issued + timedelta(days=30)
        late_payer = customer["id"] in overdue_customers and order["date"] > date(2025, 9, 1)
        paid_on = issued + timedelta(days=min(rng.randrange(3, 45), 44))
        paid = not late_payer and paid_on <= LAST
        invoice = {"id": f"R{len(invoices) + 20_001}", "order": order["id"], "customer": customer["id"], "date": issued, "due": due,
                   "amount": amount, "currency": "GBP" if british else "EUR", "status": "paid" if paid else "open"}
        invoices.append(invoice)
        if paid:
            payments.append({"id": f"Z{len(payments) + 30_001}", "invoice": invoice["id"], "date": paid_on, "amount": amount,
                             "currency": invoice["currency"], "method": weighted(rng, [("transfer", 70), ("card", 25), ("cash", 5)])})
    return invoices, payments


def make_stock(rng, products):
    rows = []
    for product in products:
        level = rng.randrange(10, 40)
        on_hand = level + rng.randrange(5, 120)
        if product["name"] in LOW_STOCK:
            on_hand, level = LOW_STOCK[product["name"]]
        rows.append([product["id"], rng.choice(["Berlin", "Leipzig"]), on_hand, level, (LAST - timedelta(days=rng.randrange(0, 20))).isoformat()])
    return rows


main()
