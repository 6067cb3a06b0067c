"""Estimators that train on the workers of a Dask cluster, where the rows are.

They are shaped like the Dask estimators of XGBoost and LightGBM::

    from dask.distributed import Client

    client = Client("tcp://scheduler:8786")
    model = fp.dask.DaskMLPClassifier(random_state=0).fit(dX, dy)
    model.predict(dX)  # a Dask collection, computed partition by partition
    model.to_local()  # an fp.MLPClassifier

Dask places the rows: each worker that holds partitions is a rank (see ``fastprop.distributed``), and trains on all of
them that it holds. The ranks add up their gradients over the collective communication of XGBoost.
"""

from fastprop._util.public import publish

try:
    import dask  # noqa: F401

    import distributed  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("dask", "distributed"):
        raise
    raise ImportError(
        f"fastprop.dask needs {error.name}, which is not installed: pip install 'fastprop-nn[dask]'"
    ) from error
from fastprop.dask.estimators import (
    DaskMLPClassifier,
    DaskMLPRegressor,
    DaskTabularClassifier,
    DaskTabularRegressor,
)

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor", "DaskTabularClassifier", "DaskTabularRegressor"]

publish(globals(), __all__, "fastprop.dask")
