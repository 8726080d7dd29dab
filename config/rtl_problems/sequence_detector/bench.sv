module bench;
  logic clk = 0;
  logic rst_n, valid, bit_in, found;

  sequence_detector dut (.clk(clk), .rst_n(rst_n), .valid(valid), .bit_in(bit_in), .found(found));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [3:0] bits;
  int         received;
  logic       want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic is_valid, input logic value);
    valid = is_valid;
    bit_in = value;
    want = 0;
    if (is_valid) begin
      bits = {bits[2:0], value};
      received++;
      want = received >= 4 && bits == 4'b1011;
    end
    @(negedge clk);
    check("found", found, want);
  endtask

  task automatic reset;
    #2 rst_n = 0;
    received = 0;
    #1 check("found in reset", found, 0);
    @(negedge clk);
    check("found in reset", found, 0);
    rst_n = 1;
  endtask

  task automatic send(input logic [11:0] word, input int count);
    for (int i = count - 1; i >= 0; i--) cycle(1, 1'(word >> i));
  endtask

  initial begin
    {valid, bit_in} = '0;
    bits = 0;
    rst_n = 1;
    @(negedge clk);
    reset();
    send(12'b1011_0110_1100, 12);
    send(12'b1010_1101_1011, 12);
    send(12'b0000_1011, 8);
    reset();
    send(12'b011, 3);
    send(12'b101, 3);
    reset();
    send(12'b1, 1);
    send(12'b101, 3);
    cycle(0, 1);
    cycle(1, 1);
    cycle(0, 1);
    cycle(0, 0);
    repeat (4000) begin
      cycle(random() % 4 != 0, 1'(random()));
      if (random() % 64 == 0) reset();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
