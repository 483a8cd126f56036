"""Distillation options: declared once, and read by the command line, the state and the trainers."""

import subprocess
import sys
from dataclasses import fields

import pytest

from gan_kd_ssd.distill.options import DistillConfig, declared, distill_names, inferred_options
from gan_kd_ssd.distill.terms import TERMS
from gan_kd_ssd.util.errors import UserError
from helpers.options import parse_train_faster_rcnn, parse_train_ssd

CHANGED = {
    "lrD": 0.125,
    "lrG": 0.375,
    "beta1": 0.75,
    "clamp_lower": -0.5,
    "clamp_upper": 0.25,
    "clamp": "all",
    "update": "joint",
    "levels": "sum",
    "adversarial_weight": 2.0,
    "cosine_attention": 3.0,
    "d_norm": "none",
    "d_channels": 7,
    "adapter": "teacher",
    "student_head": "scratch",
}
FREE = {"lrD", "lrG", "beta1"}


def test_each_declared_option_is_read_from_the_command_line():
    config = DistillConfig.from_options(parse_train_ssd([f"--{k}={v}" for k, v in CHANGED.items()]))
    sets = (config.method, *map(config.of_term, TERMS))
    found = {name: value for each in sets for name, value in vars(each).items()}
    assert found == config.values == CHANGED
    assert not CHANGED.items() & DistillConfig.from_options({}).values.items()


@pytest.mark.parametrize("parse", [parse_train_ssd, parse_train_faster_rcnn])
def test_the_scripts_have_the_declared_options_with_their_defaults(parse):
    options = parse([])
    assert CHANGED.keys() == declared().keys() <= vars(options).keys()
    for name, (_, f) in declared().items():
        assert getattr(options, name) == f.default or (name == "clamp" and options.clamp == "all")


def test_the_command_line_lists_terms_and_options_without_mxnet():
    code = "import sys, gan_kd_ssd.config.ssd_options as o; o.SSDConfig.parser().format_help()\n"
    code += "assert 'mxnet' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_terms_are_chosen_by_a_list_in_any_order():
    assert (distill_names("none"), distill_names("gan")) == ((), ("gan",))
    assert distill_names("cosine, gan") == ("gan", "cosine")
    assert parse_train_ssd(["--distill", "cosine,gan"]).distill == "gan,cosine"
    for text in ("gam", "gan,none", "", "gan,"):
        with pytest.raises(UserError, match=f"--distill {text}: give none, or .*gan, cosine"):
            parse_train_ssd(["--distill", text])


def test_the_gan_measures_the_cosine_distance_as_well():
    assert DistillConfig.from_options({"distill": "gan"}).terms == ("gan", "cosine")
    assert DistillConfig.from_options({"distill": "none"}).terms == ()
    alone = DistillConfig.from_options({"distill": "cosine", "cosine_attention": 1.0})
    assert alone.terms == ("cosine",)
    with pytest.raises(UserError, match=r"--distill cosine: .*--cosine-attention"):
        parse_train_ssd(["--distill", "cosine"])


def test_a_state_fixes_what_decides_the_figures_and_leaves_the_rates_free():
    """Of a run without distillation as well: training states of the first version hold the same."""
    for distill in ("gan", "none"):
        config = DistillConfig.from_options({"distill": distill, **CHANGED})
        assert config.free() == {name: CHANGED[name] for name in FREE}
        kept = {k: v for k, v in CHANGED.items() if k not in FREE | {"student_head"}}
        assert config.fixed() == {"distill": distill, **kept}


def test_values_that_contradict_each_other_are_refused_with_their_options():
    for values, words in (
        ({"clamp_lower": 0.1, "clamp_upper": 0.1}, "--clamp-lower 0.1 is not below --clamp-upper"),
        ({"beta1": 1.0}, "--beta1 1.0: give a number below 1"),
    ):
        with pytest.raises(UserError, match=words):
            DistillConfig.from_options(values)


def test_what_is_inferred_stands_in_the_model_card():
    assert set(inferred_options()) == {
        *("update", "clamp", "d_norm", "levels", "adapter", "student_head", "cosine_attention"),
    }


def test_no_two_terms_give_a_figure_or_an_option_of_the_same_name():
    figures = [name for term in TERMS.values() for name in term.figures]
    options = [f.name for term in TERMS.values() for f in fields(term.options_type)]
    assert len(set(figures)) == len(figures) and len(set(options)) == len(options)
