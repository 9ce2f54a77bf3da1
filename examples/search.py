"""Which images are most like this one? Exact search in a store, and an index."""

# %%
import decaf
from decaf import Compute, Net, Search, Source

quiet = Compute(quiet=True)
net, few = Net("decaf-mini", layers="pool5"), Source(limit=300)
store = decaf.extract("digits", net, source=few, compute=quiet)

# %% The five nearest of an image that the store has; it is not its own answer.
with decaf.FeatureStore(store) as opened:
    query = opened.image_ids[0]
(answer,) = decaf.search(store, [query], Search(k=5), compute=quiet)
for hit in answer.hits:
    print(hit.rank, hit.image_id, hit.label, f"{hit.distance:.3f}", hit.right)

# %% Of an image file, which goes through the same net first
file = decaf.load_dataset("digits").root / query
(answer,) = decaf.search(store, [file], Search(k=3, metric="l2"), compute=quiet)
print([hit.image_id for hit in answer.hits])

# %% How often is the nearest image of the same class? Every row asks, none answers itself.
with decaf.FeatureStore(store) as opened:
    names = list(opened.image_ids)
    answers = opened.search(names, Search(k=1))
right = sum(bool(one.hits[0].right) for one in answers) / len(answers)
print(f"nearest neighbour right: {right:.0%} of {len(answers)}")
