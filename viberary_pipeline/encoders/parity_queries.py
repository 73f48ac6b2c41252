"""The queries on which an exported encoder must agree with the model it was exported from.

Short and long, with and without punctuation, in several scripts: what readers type, and what breaks
tokenizers. The last few are far longer than any encoder's token limit, so that truncation is compared too.
"""

_VIBES = (
    "cold-blooded revenge",
    "revenge",
    "a",
    "Cozy autumn mystery in a small village",
    "sad books that make you cry on the train",
    "found family in space",
    "enemies to lovers, slow burn",
    "dark academia with unreliable narrator",
    "books like The Secret History",
    "quiet novels about grief and gardening",
    "funny sci-fi with robots who have feelings",
    "magic school but the teachers are the villains",
    "a heist that goes wrong",
    "epic fantasy with dragons and political intrigue",
    "what it means to be human",
    "nordic noir, bleak winter",
    "books to read when you are 30 and lost",
    "hopeful apocalypse",
    "haunted house on the moors",
    "multigenerational family saga set in India",
    "philosophical science fiction about language",
    "true crime but gentle",
    "poems about the sea",
    "a road trip across America in the 1950s",
    "memoir of a chef in New York",
    "middle-aged woman starts over by the sea",
    "the history of salt",
    "time travel romance",
    "talking animals on a long journey",
    "stories within stories within stories",
)
_FORMS = (
    "",
    " ",
    "   leading and trailing blanks   ",
    "ALL CAPITALS, PLEASE",
    "MiXeD cAsE aNd PuNcTuAtIoN!!!",
    "?!...",
    "who's afraid of Virginia Woolf?",
    "\"quoted\" 'twice' and (bracketed) [thrice] {four}",
    "semi;colons: dashes - en – em — slashes / and \\ back",
    "e-mail me at reader@example.org or see https://example.org/books?id=42&x=y",
    "C++ & C# for people who hate <b>HTML</b>",
    "1984",
    "20,000 leagues, 3.14159 & 50% more",
    "tab\tseparated\nand on\r\nseveral lines",
    "zero\u200bwidth and soft\u00adhyphen",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "[CLS] literal [SEP] special [MASK] tokens [PAD]",
    "$$$ money £££ €€€ ¥¥¥",
)
_LANGUAGES = (
    "une vengeance froide et calculée",
    "ein düsterer Roman über Schuld und Sühne in München",
    "novela de realismo mágico en un pueblo lluvioso",
    "saudade e o mar, romance português",
    "mörk nordisk kriminalroman",
    "przygody w górach z żółwiem",
    "İstanbul'da geçen hüzünlü bir aşk hikâyesi",
    "роман о войне и мире",
    "μια ιστορία για τη θάλασσα",
    "静かな図書館の物語",
    "关于孤独的小说",
    "고양이가 나오는 따뜻한 이야기",
    "رواية عن الصحراء والوحدة",
    "סיפור על זיכרון ואובדן",
    "अकेलेपन के बारे में एक उपन्यास",
    "นิยายรักริมทะเล",
    "cafe\u0301 decomposed and café composed",
)
_EMOJI = (
    "🐉🔥",
    "cozy vibes ☕🍂📚",
    "👩‍👩‍👧‍👦 family drama 😭😭😭",
    "🇮🇪 pub, rain and a fiddle 🎻",
)
_LONG = (
    " ".join(f"{vibe}," for vibe in _VIBES),
    "I am looking for a book that feels like the last day of summer, when the light is already a little gold "
    "and nobody wants to say that it is over; something with friends who have known each other for too long, "
    "a house by a lake, one secret that everybody knows, and an ending that does not explain itself. " * 6,
    "слово " * 400,
    "🐈 " * 400,
)

_MOODS = ("funny", "bittersweet", "slow-burn", "unsettling", "hopeful", "tender", "brutal", "dreamlike", "clever")
_KINDS = (
    "space opera",
    "ghost story",
    "family saga",
    "heist novel",
    "fairy tale retelling",
    "campus novel",
    "western",
    "spy thriller",
    "memoir",
    "locked-room mystery",
    "romance",
    "essay collection",
    "graphic novel",
    "war novel",
    "children's classic",
)
_MIXTURES = tuple(f"{mood} {kind}" for mood in _MOODS for kind in _KINDS)

PARITY_QUERIES: tuple[str, ...] = _VIBES + _FORMS + _LANGUAGES + _EMOJI + _MIXTURES + _LONG
