module bench;
  logic        clk = 0;
  logic        rst, in_valid, in_ready, in_last, out_valid, out_ready, out_last;
  logic [7:0]  in_data;
  logic [31:0] out_data;
  logic [3:0]  out_keep;

  byte_packer dut (
    .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data), .in_last(in_last),
    .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data), .out_keep(out_keep), .out_last(out_last)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int          bytes;
  logic [31:0] partial, word;
  logic [3:0]  keep;
  logic        waiting, last, ready;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("out_valid", out_valid, waiting);
    if (waiting) begin
      check("out_data", out_data, word);
      check("out_keep", out_keep, keep);
      check("out_last", out_last, last);
    end
  endtask

  task automatic cycle(input logic put, input logic [7:0] value, input logic is_last, input logic take);
    in_valid = put;
    in_data = value;
    in_last = is_last;
    out_ready = take;
    ready = !waiting || take;
    #1;
    check("in_ready", in_ready, ready);
    outputs();
    if (take) waiting = 0;
    if (rst) begin
      waiting = 0;
      bytes = 0;
      partial = 0;
    end else if (put && ready) begin
      partial += {24'd0, value} << (8 * bytes);
      bytes++;
      if (bytes == 4 || is_last) begin
        waiting = 1;
        word = partial;
        keep = 4'((1 << bytes) - 1);
        last = is_last;
        bytes = 0;
        partial = 0;
      end
    end
    @(negedge clk);
    outputs();
  endtask

  initial begin
    {in_valid, in_data, in_last, out_ready} = '0;
    bytes = 0;
    partial = 0;
    waiting = 0;
    rst = 1;
    @(negedge clk);
    cycle(1, 8'h99, 1, 0);
    rst = 0;
    for (int length = 1; length <= 9; length++)
      for (int i = 1; i <= length; i++) cycle(1, 8'(16 * length + i), i == length, 1);
    repeat (4) cycle(1, 8'hff, 0, 0);
    repeat (3) cycle(1, 8'hee, 0, 0);  // not accepted
    cycle(1, 8'h11, 1, 1);  // accepted while the word leaves, and complete
    cycle(0, 8'h22, 1, 0);
    cycle(0, 8'h22, 1, 1);
    cycle(1, 8'hab, 0, 0);
    rst = 1;
    cycle(1, 8'hcd, 0, 0);
    rst = 0;
    cycle(1, 8'h01, 1, 1);
    repeat (5000) begin
      rst = random() % 256 == 0;
      cycle(random() % 4 != 0, 8'(random()), random() % 6 == 0, random() % 3 != 0);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
