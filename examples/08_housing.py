"""House prices of California, 1990: a small network is as accurate as gradient-boosted trees.

    python 08_housing.py [FILE]

FILE is housing.csv. The default is shared/data/housing.csv next to the repository. A fifth of its 20,640 rows is held
out for testing. Two things make the network as accurate as trees on this table: the piecewise-linear encoding of each
column, and, to a smaller part, four members that share their weights (TabM). The RMSE of scikit-learn's
HistGradientBoostingRegressor with its defaults is 46,256 dollars on this split.
"""

import csv
import sys
from pathlib import Path

import numpy as np

import fastprop as fp

GOAL = 46_256

path = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data" / "housing.csv")
if not path.exists():
    sys.exit(f"no {path}: give the path of housing.csv as the argument")
with open(path, newline="") as file:
    records = list(csv.DictReader(file))

numeric = [name for name in records[0] if name not in ("ocean_proximity", "median_house_value")]
places = sorted({record["ocean_proximity"] for record in records})
columns = np.array([[float(record[name] or "nan") for name in numeric] for record in records])
near = np.array([[record["ocean_proximity"] == place for place in places] for record in records], dtype=float)
price = np.array([float(record["median_house_value"]) for record in records])

order = np.random.default_rng(0).permutation(len(records))
test, train = order[: len(records) // 5], order[len(records) // 5 :]
columns = np.where(np.isnan(columns), np.nanmedian(columns[train], axis=0), columns)
X = np.hstack([columns, near])
X = ((X - X[train].mean(axis=0)) / X[train].std(axis=0)).astype(np.float32)
mean, dollars = price[train].mean(), price[train].std()
y = ((price - mean) / dollars).astype(np.float32)

EPOCHS, BATCH = 40, 256
steps = EPOCHS * -(-len(train) // BATCH)
network = fp.Network(
    [
        X.shape[1],
        fp.PiecewiseLinear.of(X[train], bins=48, width=8),
        fp.Dense(256, "relu"),
        fp.Dropout(0.1),
        fp.Dense(256, "relu"),
        fp.Dropout(0.1),
        1,
    ],
    members=4,
    seed=0,
)
optimizer = fp.AdamW(fp.schedules.Cosine(2e-3, steps=steps), weight_decay=1e-3)
trainer = fp.Trainer(network, loss="half_mse", optimizer=optimizer)
print(f"{network.n_parameters:,} parameters, {len(train):,} rows")
for epoch in range(1, EPOCHS + 1):
    cost = trainer.epoch(X[train], y[train], batch_size=BATCH)
    if epoch % 5 == 0:
        error = np.sqrt(np.mean((network(X[test])[:, 0] * dollars + mean - price[test]) ** 2))
        print(f"epoch {epoch:2}   cost {cost:.4f}   test RMSE {error:,.0f} dollars")

if error > GOAL:
    sys.exit(f"test RMSE {error:,.0f}, wanted at most {GOAL:,}")
print(f"{error:,.0f} dollars of error; the goal was {GOAL:,}, that of boosted trees")
