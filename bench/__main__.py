"""`python -m bench` is the command `bench`."""

from bench.shadows import stop_at_shadows

if __name__ == "__main__":
    stop_at_shadows()  # first, because the command line imports the packages that may be shadowed
    from bench.cli import main

    main()
