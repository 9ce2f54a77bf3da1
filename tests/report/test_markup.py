from decaf.report import latex_table, markdown_table


def test_markdown_has_title_table_and_footnotes(make_table):
    lines = markdown_table(make_table(layers=("fc6", "fc7"))).splitlines()
    assert lines[0].startswith("**caltech101 · alexnet")
    assert lines[2:6] == [
        "| head | fc6 | fc7 |",
        "|---|---:|---:|",
        "| svm | 85.0 ± 1.4 | 85.0 ± 1.4 |",
        "| *DeCAF* | 84.8 ± 1.2 | 83.2 ± 1.2 |",
    ]
    assert lines[7].startswith("- weights: imagenet")


def test_markdown_names_do_not_break_the_table(make_table):
    assert r"| a\|b\_c |" in markdown_table(make_table(layers=("a|b_c",)))


def test_latex_is_a_booktabs_table(make_table):
    text = latex_table(make_table(layers=("fc6",)))
    for line in (
        r"  \begin{tabular}{lr}",
        r"    head & fc6 \\",
        r"    \midrule",
        r"    svm & 85.0 $\pm$ 1.4 \\",
        r"    \quad DeCAF & 84.8 $\pm$ 1.2 \\",
        r"  \par\footnotesize chance: 1.0 \%.",
    ):
        assert line in text.splitlines()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 1


def test_latex_special_characters_are_escaped(make_table):
    text = latex_table(make_table(dataset="a_b & 50% {x} #1 $ \\ ~ ^", backbone="vgg16"))
    escaped = r"a\_b \& 50\% \{x\} \#1 \$ \textbackslash{} \textasciitilde{} \textasciicircum{}"
    assert escaped in text
