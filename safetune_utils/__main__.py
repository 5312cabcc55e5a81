from safetune_utils.cli import main

main()
