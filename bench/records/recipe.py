"""The training recipe of a run: the recipe of `models`, of which records and suites are read strictly."""

from pydantic import with_config

from bench.records.canonical import STRICT
from models.recipe import Recipe as Recipe
from models.recipe import is_weights_file as is_weights_file

with_config(STRICT)(Recipe)
