"""Remote stores: pull from them and push to them."""
