"""The right answers to questions.jsonl, computed in plain pandas straight from the exported files.

    python gold.py SHOP_FOLDER SUPERSTORE_CSV > gold.json

Nothing of Meterbox takes part: the files are read with formats written down here by hand.
"""

import json
import sys
from pathlib import Path

import pandas as pd

shop, superstore = Path(sys.argv[1]), pd.read_csv(sys.argv[2])

products = pd.read_csv(shop / "products.csv")
customers = pd.read_csv(shop / "customers.csv")
customers["customer"] = customers["customer"].str.strip()
orders = pd.read_csv(shop / "orders.csv", parse_dates=["order_date"])
lines = pd.read_csv(shop / "order_lines.csv")
lines["quantity"] = pd.to_numeric(lines["quantity"], errors="coerce")
lines["revenue"] = lines["quantity"] * lines["unit_price"] - lines["discount"]
invoices = pd.read_csv(shop / "invoices.csv", sep=";", dtype=str)
invoices["amount"] = invoices["amount"].str.replace(".", "").str.replace(",", ".").astype(float)
for day in ("invoice_date", "due_date"):
    invoices[day] = pd.to_datetime(invoices[day], format="%d.%m.%Y")
for number in ("order_id", "customer_id"):
    invoices[number] = invoices[number].astype(int)
stock = pd.read_csv(shop / "stock.csv")
AS_OF = pd.Timestamp("2025-12-31")

# A duplicated order is reported, not dropped: both copies of a line count, each once.
heads = orders.drop_duplicates("order_id")
sold = lines.merge(products, on="product_id").merge(heads, on="order_id").merge(customers, on="customer_id")

superstore["Order Date"] = pd.to_datetime(superstore["Order Date"])

GOLD = {}


def gold(name):
    def keep(function):
        GOLD[name] = rows(function())
        return function

    return keep


def rows(value):
    if isinstance(value, pd.Series):
        value = value.reset_index()
    if not isinstance(value, pd.DataFrame):
        return [[plain(value)]]
    return [[plain(cell) for cell in row] for row in value.itertuples(index=False)]


def plain(cell):
    if isinstance(cell, pd.Timestamp):
        return cell.date().isoformat()
    if isinstance(cell, pd.Period):
        return cell.start_time.date().isoformat()
    if pd.isna(cell):
        return None
    return cell.item() if hasattr(cell, "item") else cell


@gold("s01")
def _():
    return lines["revenue"].sum()


@gold("s02")
def _():
    return sold.groupby("category")["revenue"].sum()


@gold("s03")
def _():
    return sold.groupby("product")["revenue"].sum().nlargest(5)


@gold("s04")
def _():
    return sold.groupby("customer")["revenue"].sum().nlargest(1)


@gold("s05")
def _():
    return sold.groupby("product")["quantity"].sum().nsmallest(3)


@gold("s06")
def _():
    march = orders[(orders["order_date"] >= "2025-03-01") & (orders["order_date"] < "2025-04-01")]
    return len(march)


@gold("s07")
def _():
    year = sold[sold["order_date"].dt.year == 2025]
    return year.groupby(year["order_date"].dt.to_period("M"))["revenue"].sum()


@gold("s08")
def _():
    return len(customers)


@gold("s09")
def _():
    return customers.groupby("country").size()


@gold("s10")
def _():
    return invoices.loc[invoices["currency"] == "EUR", "amount"].mean()


@gold("s11")
def _():
    return orders.groupby("channel").size()


@gold("s12")
def _():
    by_channel = sold.groupby("channel")["revenue"].sum()
    return by_channel / by_channel.sum()


@gold("s13")
def _():
    return lines["unit_price"].median()


@gold("s14")
def _():
    return products["list_price"].max()


@gold("s15")
def _():
    return sold.groupby("category")["discount"].sum()


@gold("s16")
def _():
    return int((orders["status"] == "cancelled").sum())


@gold("s17")
def _():
    return sold.groupby(["segment", "channel"])["revenue"].sum()


@gold("s18")
def _():
    return customers.groupby("city").size().nlargest(1)


@gold("s19")
def _():
    return orders.groupby(orders["order_date"].dt.day_name()).size()


@gold("s20")
def _():
    return sold.groupby(sold["order_date"].dt.to_period("Q"))["revenue"].sum()


@gold("s21")
def _():
    return sold.loc[sold["order_date"] > AS_OF - pd.Timedelta(days=30), "revenue"].sum()


@gold("s22")
def _():
    return stock[stock["on_hand"] < stock["reorder_level"]]


@gold("s23")
def _():
    return invoices[(invoices["due_date"] < AS_OF) & (invoices["status"] == "open")]


@gold("s24")
def _():
    return invoices.groupby(["status", "currency"])["amount"].sum()


@gold("s25")
def _():
    return products.groupby("category").size()


@gold("u01")
def _():
    return superstore.groupby("Region")["Sales"].sum()


@gold("u02")
def _():
    return superstore.groupby("State")["Profit"].sum().nlargest(1)


@gold("u03")
def _():
    return superstore.groupby("Sub-Category")["Sales"].sum().nlargest(10)


@gold("u04")
def _():
    return superstore.groupby("Segment")["Discount"].mean()


@gold("u05")
def _():
    return int((superstore["Ship Mode"] == "Second Class").sum())


@gold("u06")
def _():
    return superstore["Profit"].sum()


@gold("u07")
def _():
    return superstore.groupby(["Category", "Region"])["Quantity"].sum()


@gold("u08")
def _():
    return superstore["Item Price"].median()


@gold("u09")
def _():
    return superstore.groupby(superstore["Order Date"].dt.to_period("M"))["Sales"].sum()


@gold("u10")
def _():
    return superstore["City"].nunique()


@gold("u11")
def _():
    return superstore.groupby("Category")["Profit"].mean()


@gold("u12")
def _():
    return int((superstore["Sales"] > 4000).sum())


@gold("u13")
def _():
    return superstore.loc[superstore["Region"] == "West", "Sales"].sum()


@gold("u14")
def _():
    return superstore.groupby("Segment")["Profit"].max()


@gold("u15")
def _():
    return superstore.groupby("Ship Mode")["Sales"].sum().nsmallest(1)


def sold_in(first, last):
    return sold[sold["order_date"].between(first, last)]


@gold("p01")
def _():
    years = {"this year": "2025", "last year": "2024"}
    return pd.Series({name: sold_in(f"{year}-01-01", f"{year}-12-31")["revenue"].sum() for name, year in years.items()})


@gold("p02")
def _():
    quarters = {f"Q3 {year}": sold_in(f"{year}-07-01", f"{year}-09-30") for year in (2024, 2025)}
    return pd.concat(quarters, names=["quarter"]).groupby(["channel", "quarter"])["revenue"].sum()


@gold("p03")
def _():
    return sold_in("2025-01-01", "2025-02-28")["revenue"].sum()


@gold("p04")
def _():
    return sold_in("2024-03-01", "2024-03-31")["revenue"].sum()


@gold("p05")
def _():
    return sold_in("2024-11-01", "2025-02-28")["revenue"].sum()


json.dump(GOLD, sys.stdout)
