def test_the_palette_leads_to_pages_by_their_names(desk):
    found = desk.get("/admin/palette?q=over").text

    assert 'href="/admin/"' in found
    assert "Overview" in found


def test_the_palette_offers_everything_before_a_word_is_typed(desk):
    assert desk.get("/admin/palette").text.count('role="option"') >= 1


def test_what_is_called_like_nothing_says_so(desk):
    found = desk.get("/admin/palette?q=<script>x").text

    assert "Nothing is called that." in found
    assert "<script>" not in found
