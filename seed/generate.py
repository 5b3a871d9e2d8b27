#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the sample shop's CSV files next to this script.

Deterministic: the seed is fixed and only the standard library of Python 3.11
is used, so a second run gives the same bytes. All data is invented.

Time is kept as seconds relative to today's midnight (negative = past) and
written as "days ago" (see README.md). Waves and trends therefore follow the
distance from today, not the calendar: the sample never grows old.
Money is kept in cents so that totals are exact.
"""
import csv
import math
import random
import unicodedata
from pathlib import Path

HERE = Path(__file__).resolve().parent
DAY = 86_400
DAYS = 730
SEED = 144  # passes the check for ties at the end of this file
rng = random.Random(SEED)

# --- word lists -------------------------------------------------------------
# "native:ascii" gives the spelling for the e-mail address where stripping
# accents is not enough.
NAMES = {
    "de": ("Jörg Anke Günther Lena Jürgen Sören Käthe Timo Heike Björn Maike Lutz",
           "Müller Schäfer Weiß Krüger Vogt Böhm Lindner Köhler Jäger Brandt Groß Ahrens"),
    "fr": ("Chloé Hélène Benoît Mathéo Zoé François Élodie Rémi Inès Gaëlle "
           "Théo Océane",
           "Lefèvre Girard D'Aubin Mercier Béranger Chevalier Noël "
           "Fournier L'Hermite Gauthier Roche Perrin"),
    "pt": ("João Conceição Luís Inês Tânia Caio Antônio Flávia Otávio Lívia Thaís Murilo",
           "Gonçalves Araújo Conceição Magalhães Simões Teles "
           "Falcão Brandão Queirós Assunção Leitão Moura"),
    "pl": ("Łukasz Małgorzata Paweł Zofia Grażyna Michał Bożena "
           "Józef Agnieszka Żaneta Stanisław Wioletta",
           "Nowak Wójcik Woźniak Mazur Krawczyk Zając Król Wróbel Dudek Stępień Pająk Gołąb"),
    "ja": ("花子:hanako 太郎:taro 健:ken 美咲:misaki "
           "陽菜:hina 大輔:daisuke さくら:sakura 翔:sho 直樹:naoki 結衣:yui",
           "佐藤:sato 鈴木:suzuki 高橋:takahashi 田中:tanaka 渡辺:watanabe 山本:yamamoto "
           "小林:kobayashi 加藤:kato 森:mori 石川:ishikawa"),
    "el": ("Ελένη:eleni Γιώργος:giorgos Μαρία:maria Νίκος:nikos Σοφία:sofia Κώστας:kostas Δήμητρα:dimitra "
           "Θανάσης:thanasis Χρύσα:chrysa Αλέξης:alexis",
           "Οικονόμου:oikonomou Αντωνίου:antoniou Βασιλείου:vasileiou Δημητρίου:dimitriou Ιωάννου:ioannou "
           "Γεωργίου:georgiou Παύλου:pavlou Νικολάου:nikolaou"),
    "no": ("Øystein Åse Bjørn Sølvi Håkon Ragnhild Pål Tuva Kåre Synnøve Gøril Eirik",
           "Bjørnstad Ødegård Lunde Sæther Haugen Nygård Strøm Bakken Tveit Rønning Ås Myhre"),
    "es": ("Íñigo Begoña Jesús Nuria Martín Lucía Óscar Rocío Álvaro Araceli Joaquín Marisol",
           "Muñoz Ibáñez Peña Córdoba Núñez Galván Ordóñez Vázquez Crespo Cañizares Rincón Salgado"),
    "en": ("Alice Tom Priya Owen Zara Callum Maeve Desmond Imogen Rhys Nadia Wesley",
           "Ashdown Patel Fairweather Okafor Whitlock Hargreave Pemberton Sandhu Kettering Marsh Lockwood Thorne"),
    "ga": ("Siobhán Seán Aoife Caoimhe Pádraig Niamh Oisín Róisín Ciarán Gráinne",
           "O'Rourke O'Brien Kavanagh McGrath O'Shea Byrne Gallagher Tierney O'Malley Sweeney"),
}
CITIES = [  # city, country, names, share of customers
    ("Berlin", "Germany", "de", 13), ("München", "Germany", "de", 9), ("Köln", "Germany", "de", 5),
    ("Zürich", "Switzerland", "de", 8), ("Genève", "Switzerland", "fr", 4),
    ("Paris", "France", "fr", 9), ("Lyon", "France", "fr", 4),
    ("São Paulo", "Brazil", "pt", 8), ("Kraków", "Poland", "pl", 6), ("Łódź", "Poland", "pl", 3),
    ("東京", "Japan", "ja", 7), ("Αθήνα", "Greece", "el", 4), ("Tromsø", "Norway", "no", 4),
    ("Málaga", "Spain", "es", 5), ("London", "United Kingdom", "en", 8), ("Dublin", "Ireland", "ga", 3),
]
TOP_CATEGORIES = ["Kitchen", "Home", "Outdoor", "Office"]
# category: (parent, SKU prefix, season: +1 sells best when the wave is high,
# -1 when it is low, products "name|price")
CATALOGUE = {
    "Coffee & Tea": ("Kitchen", "COF", 0, """Espresso Machine Lucca|329.90
        Burr Grinder No. 3|119.90
        Pour-Over Kettle 0.9 l|64.90
        French Press, 1 l|34.50
        Espresso Cups, set of 4|28.90
        Milk Frother|39.90
        Cold Brew Jug|27.50
        Matcha Whisk (茶筅)|16.90
        Teapot "Nanbu", cast iron|72.90
        Paper Filters, 200 pcs|6.40"""),
    "Cookware": ("Kitchen", "CKW", 0, """Cast-Iron Skillet 28 cm|58.90
        Dutch Oven 5.5 l|189.90
        Chef's Knife 20 cm|94.50
        Carbon Steel Wok|49.90
        Crêpe Pan|32.90
        Stock Pot 8 l|76.90
        Cutting Board, walnut|45.90
        Mixing Bowls, set of 3|37.40
        Mortar & Pestle, granite|29.80
        Digital Kitchen Scale|24.90"""),
    "Lighting": ("Home", "LGT", -1, """Desk Lamp Arc|79.90
        Floor Lamp Tripod|149.90
        Pendant Light Fjord|112.90
        LED Bulb E27, warm white|8.90
        String Lights 10 m|22.50
        Reading Clip Light|18.40
        Lantern, rechargeable|42.90
        Wall Sconce Sør|66.90
        Smart Dimmer|35.90
        Paper Lamp Shade 50 cm|15.50"""),
    "Textiles": ("Home", "TEX", -1, """Wool Blanket Tromsø|129.90
        Linen Duvet Cover 200x200|139.90
        Cotton Towels, set of 6|54.90
        Feather Pillow 60x60|38.90
        Table Runner, linen|26.90
        Bath Mat|21.50
        Knitted Throw|69.90
        Kitchen Apron|24.90
        Cushion Cover 45x45|14.90
        Blackout Curtains, pair|88.90"""),
    "Camping": ("Outdoor", "CMP", 1, """Two-Person Tent Nimbus|279.90
        Sleeping Bag -5 °C|159.90
        Gas Stove Compact|47.90
        Trekking Backpack 45 l|134.90
        Insulated Bottle 0.75 l|29.90
        Headlamp 400 lm|36.50
        Folding Chair|44.90
        Enamel Mug, 350 ml|11.90
        Hammock with Straps|59.90
        Tarp 3x3 m|68.50"""),
    "Cycling": ("Outdoor", "CYC", 1, """Pannier Bags, pair|118.90
        Helmet Vento|84.90
        Floor Pump|41.50
        Multi-Tool 18 in 1|26.90
        Front Light 800 lm|74.90
        Folding Lock|62.90
        Rain Cape|48.50
        Bottle Cage|9.90
        Repair Kit|12.50
        Bar Tape, cork|17.80"""),
    "Stationery": ("Office", "STA", 0, """Notebook A5, dotted|13.90
        Fountain Pen Alba|56.90
        Gel Pens, set of 10|12.40
        Weekly Planner|19.50
        Ink Bottle, midnight blue|14.20
        Sticky Notes, 12 pads|9.60
        Brass Ruler 15 cm|11.90
        Letter Paper, 50 sheets|16.50
        Pencil Case, felt|18.90
        Highlighters, set of 6|8.20"""),
    "Desk": ("Office", "DSK", 0, """Standing Desk Converter|219.90
        Monitor Arm|99.90
        Ergonomic Footrest|52.90
        Laptop Stand, aluminium|46.90
        Desk Mat, wool felt|33.50
        Cable Organiser|13.40
        Drawer Unit, oak|169.90
        Wireless Charger|37.90
        Magazine File, set of 3|20.80
        Desk Clock|31.90"""),
}
BESTSELLERS = ["Burr Grinder No. 3", "Insulated Bottle 0.75 l", "Desk Lamp Arc", "Notebook A5, dotted",
               "Pannier Bags, pair", "Cast-Iron Skillet 28 cm", "Wool Blanket Tromsø"]
NEVER_ORDERED = "Letter Paper, 50 sheets"
DISCONTINUED = {"Cold Brew Jug": 48, "Crêpe Pan": 410, "Smart Dimmer": 133, "Kitchen Apron": 295,
                "Rain Cape": 76, "Desk Clock": 521}  # name: days ago
TITLES = {
    5: ["Love it", "Excellent", "Exactly what I wanted", "Would buy again", "Top!", "Perfect gift"],
    4: ["Very good", "Solid quality", "Happy with it", "Good value", "Almost perfect"],
    3: ["It is okay", "Average", "Does the job", "Mixed feelings"],
    2: ["Expected more", "Not convinced", "Disappointing"],
    1: ["Sent it back", "Broke after a week", "Do not buy"],
}
BODIES = {
    5: ["In use every day since it arrived, no complaints at all.", "Better than the pictures, and well packed.",
        "My second one. The first went to my sister, who said \"finally\".", "Great finish, quick delivery.",
        "Worth every cent."],
    4: ["Good quality, the colour is slightly darker than shown.", "Works well, but the manual is thin.",
        "Nice product; delivery took five days.", "Sturdy and simple. One star off for the packaging.",
        "Does what it should, a little heavy."],
    3: ["Fine for the price, nothing special.", "Useful, but smaller than I thought.",
        "Half of me likes it, half of me wanted the bigger one.", "Okay so far, let us see how long it lasts."],
    2: ["The finish scratches easily.", "Feels cheaper than the price suggests.",
        "Support was kind, the product is not good, sadly."],
    1: ["Arrived damaged, and the replacement too.", "Stopped working after a few days.",
        "Does not match the description."],
}
LOCAL_BODIES = {  # praise in the customer's language, for ratings 4 and 5
    "de": ["Sehr schön verarbeitet, gern wieder.", "Hält, was es verspricht – für größere Küchen genau richtig."],
    "fr": ["Très belle qualité, livraison rapide.", "Parfait, je suis ravie de mon achat !"],
    "pt": ["Ótima qualidade, chegou antes do prazo.", "Recomendo, produção bem cuidada."],
    "pl": ["Świetna jakość, polecam.", "Bardzo ładne, dotarło szybko."],
    "ja": ["とても使いやすいです。", "品質が良く、満足しています。"],
    "el": ["Πολύ καλή ποιότητα.", "Ήρθε γρήγορα, το συνιστώ."],
    "no": ["Veldig fornøyd, rask levering.", "Akkurat det jeg ønsket meg på hytta."],
    "es": ["Muy buena calidad, llegó enseguida.", "Lo volvería a comprar mañana."],
}


# --- helpers ----------------------------------------------------------------
def pick(weights):
    """A key of the dict, by weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def ascii_form(text):
    text = text.translate(str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae"}))
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(c for c in plain.lower() if c.isalpha())


def days_ago(t):
    return -(t // DAY)


def moment(t):
    """Seconds relative to today's midnight -> "days-ago HH:MM:SS"."""
    s = t % DAY
    return f"{days_ago(t)} {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}"


def office_hours(t):
    """The same day, between 08:00 and 17:00."""
    return t // DAY * DAY + rng.randrange(8 * 3600, 17 * 3600)


def money(cents):
    return f"{cents // 100}.{cents % 100:02}"


def write(table, header, rows):
    with open(HERE / f"{table}.csv", "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(header.split())
        out.writerows(["" if cell is None else str(cell).lower() if isinstance(cell, bool) else cell
                       for cell in row] for row in rows)


def wave(age):
    """One-year wave, highest 45 days ago and a year before that."""
    return math.cos(2 * math.pi * (age - 45) / 365)


# --- customers --------------------------------------------------------------
customers, seen_names, seen_emails = [], set(), set()
while len(customers) < 400:
    city, country, lang, _ = rng.choices(CITIES, [c[3] for c in CITIES])[0]
    given, family = (rng.choice(words.split()).replace("'", "’" if lang == "fr" else "'").partition(":")
                     for words in NAMES[lang])
    name = f"{family[0]} {given[0]}" if lang == "ja" else f"{given[0]} {family[0]}"
    email = ".".join(ascii_form(part[2] or part[0]) for part in (given, family))
    if name in seen_names or email in seen_emails:
        continue
    seen_names.add(name)
    seen_emails.add(email)
    # Nearly half were there before the first order, so the early months have buyers too.
    signed_up = rng.randrange(DAYS + 2, DAYS + 500) if rng.random() < 0.45 else rng.randrange(0, DAYS)
    customers.append({
        "name": name, "city": city, "country": country, "lang": lang, "signed_up": signed_up,
        "email": f"{email}@example.{rng.choice(['com', 'com', 'org', 'net'])}",
        "segment": pick({"consumer": 78, "business": 16, "education": 6}),
        "newsletter": rng.random() < 0.42,
        # A long tail: few customers order often, some never.
        "loyalty": 0 if rng.random() < 0.06 else min(rng.paretovariate(1.3), 14),
    })
customers.sort(key=lambda c: -c["signed_up"])
for number, c in enumerate(customers, 1):
    c["id"] = number
    if c["loyalty"] == 0 and rng.random() < 0.6:
        c["city"] = None  # never ordered, never gave an address

# --- categories and products ------------------------------------------------
category_ids = {name: n for n, name in enumerate([*TOP_CATEGORIES, *CATALOGUE], 1)}
products = []
for category, (_, prefix, season, listing) in CATALOGUE.items():
    for n, line in enumerate(listing.splitlines(), 1):
        name, price = line.strip().split("|")
        cents = int(price.replace(".", ""))
        products.append({
            "id": len(products) + 1, "sku": f"{prefix}-{n:03}", "name": name, "season": season,
            "category": category, "price": cents, "gone": DISCONTINUED.get(name),
            "cost": None if rng.random() < 0.08 else round(cents * rng.uniform(0.42, 0.68)),
            "quality": rng.uniform(-0.9, 0.7),
        })
others = [p["name"] for p in products if p["name"] not in BESTSELLERS]
rng.shuffle(others)
for p in products:
    # Popularity falls off by rank, and a little with price.
    rank = (BESTSELLERS + others).index(p["name"])
    p["popularity"] = 0 if p["name"] == NEVER_ORDERED else (rank + 2) ** -1.0 * (p["price"] / 3000) ** -0.2


# --- orders, items, payments, reviews ---------------------------------------
def order_moments():
    """When orders come in: every day, growing slowly, with a weekly and a yearly wave."""
    hours = {h: 1 + 3 * math.exp(-((h - 20) / 2.5) ** 2) + 2 * math.exp(-((h - 12) / 2) ** 2) for h in range(7, 23)}
    for age in range(DAYS, 0, -1):
        rate = 4.1 * (1.25 - 0.5 * age / DAYS) * (1 + 0.22 * wave(age)) * (1.35 if age % 7 in (2, 3) else 0.86)
        for second in sorted({pick(hours) * 3600 + rng.randrange(3600)
                              for _ in range(max(1, int(rate + rng.random())))}):
            yield -age * DAY + second
    # Today only the first minutes: later times might still lie in the future.
    yield from sorted(rng.sample(range(20, 500), 4))


def basket(customer, age):
    on_sale = {i: p["popularity"] * (1 + 0.6 * p["season"] * wave(age))
               for i, p in enumerate(products) if p["gone"] is None or p["gone"] < age}
    for line in range(1, pick({1: 30, 2: 30, 3: 22, 4: 12, 5: 6}) + 1):
        p = products[i := pick(on_sale)]
        del on_sale[i]
        bulk = customer["segment"] != "consumer" and p["price"] < 10_000
        quantity = rng.randint(2, 8) if bulk else pick({1: 76, 2: 17, 3: 5, 4: 2})
        # Two price rises since the shop opened. Like the list prices none is a whole
        # number: SQLite would store that as an integer and divide it as one.
        rise = 0.93 if age > 540 else 0.97 if age > 240 else None
        unit_price = round(p["price"] * rise / 50) * 50 - 10 if rise else p["price"]
        share = pick({0.05: 4, 0.1: 5, 0.2: 2}) if rng.random() < 0.13 else 0
        discount = round(quantity * unit_price * share / 5) * 5 or None  # to the next 5 cents
        yield line, p, quantity, unit_price, discount


def payment_time(method, t):
    """When the money arrives, or None if that is still to come."""
    if method == "bank_transfer":
        paid = office_hours(t + rng.randint(1, 3) * DAY)
    elif method == "invoice":
        paid = office_hours(t + rng.randint(6, 32) * DAY)
    else:
        paid = t + rng.randint(8, 95)
    return paid if paid < 600 else None  # today only the first ten minutes have passed for sure


orders, items, payments, reviews, reviewed = [], [], [], [], set()
revenue = [[0] * (len(products) + 1) for _ in range(DAYS + 1)]  # cents by days ago and product, for the check
for order_id, t in enumerate(order_moments(), 1):
    age = days_ago(t)
    known = {n: c["loyalty"] for n, c in enumerate(customers) if c["signed_up"] > age}
    customer = customers[pick(known)]
    consumer = customer["segment"] == "consumer"
    lines = list(basket(customer, age))
    total = sum(quantity * unit_price - (discount or 0) for _, _, quantity, unit_price, discount in lines)
    items += [(order_id, line, p["id"], quantity, money(unit_price), discount and money(discount))
              for line, p, quantity, unit_price, discount in lines]

    for _, p, quantity, unit_price, _ in lines:
        revenue[age][p["id"]] += quantity * unit_price
    method = pick({"card": 60, "wallet": 27, "bank_transfer": 13} if consumer
                  else {"card": 25, "bank_transfer": 30, "invoice": 45})
    paid = payment_time(method, t)
    fate = pick({"normal": 905, "unpaid": 20, "cancelled": 40, "returned": 35})
    attempts = []  # (paid at, status)
    if method in ("card", "wallet") and rng.random() < 0.05 or fate == "unpaid" and rng.random() < 0.4:
        attempts.append((None, "failed"))

    # Invoices ship before they are paid, everything else after.
    ready = t + 3600 if method == "invoice" else paid
    shipped = None if ready is None else office_hours(ready + rng.choice([1, 1, 1, 2, 2, 3, 4]) * DAY)
    if shipped is not None and shipped >= 0:
        shipped = None
    arrived = shipped and shipped + rng.randint(1, 6) * DAY
    if fate == "cancelled":
        status, shipped = "cancelled", None
        # An invoice is simply dropped, other money already paid goes back.
        if method != "invoice" and paid is not None and rng.random() < 0.6:
            attempts.append((paid, "refunded"))
    elif fate == "unpaid":
        # Nobody waits for the money for ever.
        status, shipped = ("pending" if age < 120 else "cancelled"), None
    else:
        if shipped is None:
            status = "pending" if ready is None else "processing"
        elif arrived >= 0:
            status = "shipped"
        elif fate == "returned" and age > 20 and paid is not None:
            status = "returned"
        else:
            status = "delivered"
        attempts.append((paid, "refunded" if status == "returned" else "paid" if paid is not None else "pending"))
    orders.append((order_id, customer["id"], moment(t), status, shipped and moment(shipped),
                   pick({"web": 52, "mobile": 31, "phone": 4, "marketplace": 13})))
    payments += [(order_id, method, money(total), None if at is None else moment(at), state) for at, state in attempts]

    if status not in ("delivered", "returned"):
        continue
    for _, p, *_ in lines:
        written = days_ago(arrived) - rng.randint(1, 24)
        if rng.random() > 0.17 or written < 0 or (p["id"], customer["id"]) in reviewed:
            continue
        reviewed.add((p["id"], customer["id"]))
        mood = rng.gauss(4.4 + p["quality"], 0.9) - (2 if status == "returned" else 0)
        rating = max(1, min(5, round(mood)))
        title = rng.choice(TITLES[rating]) if rng.random() < 0.75 else None
        body = rng.choice(BODIES[rating]) if rng.random() < 0.65 else None
        if body and rating >= 4 and rng.random() < 0.5:
            body = rng.choice(LOCAL_BODIES.get(customer["lang"], [body]))
        reviews.append((written, p["id"], customer["id"], rating, title, body))
reviews.sort(key=lambda r: -r[0])

# --- check ------------------------------------------------------------------
# "The five best products of last month" must have one right answer on any day.
for length in (28, 29, 30, 31):
    for start in range(DAYS + 2 - length):
        top = sorted(map(sum, zip(*revenue[start:start + length])), reverse=True)[:6]
        if len(set(top)) < 6:
            raise SystemExit(f"best sellers tie within days {start}..{start + length - 1}: choose another SEED")

# --- files ------------------------------------------------------------------
write("customers", "id name email city country segment @signed_up_on newsletter",
      ([c[k] for k in ("id", "name", "email", "city", "country", "segment", "signed_up", "newsletter")]
       for c in customers))
write("categories", "id name parent_id",
      ((n, name, category_ids[CATALOGUE[name][0]] if name in CATALOGUE else None)
       for name, n in category_ids.items()))
write("products", "id sku name category_id price cost active @discontinued_on",
      ((p["id"], p["sku"], p["name"], category_ids[p["category"]], money(p["price"]),
        p["cost"] and money(p["cost"]), p["gone"] is None, p["gone"]) for p in products))
write("orders", "id customer_id @ordered_at status @shipped_at channel", orders)
write("order_items", "order_id line_no product_id quantity unit_price discount", items)
write("payments", "id order_id method amount @paid_at status", ((n, *p) for n, p in enumerate(payments, 1)))
write("reviews", "id product_id customer_id rating title body @written_on",
      ((n, *r[1:], r[0]) for n, r in enumerate(reviews, 1)))
