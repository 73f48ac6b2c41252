"""The bundled catalogue: real books with texts of this project's own, and dirt like the real files'."""
