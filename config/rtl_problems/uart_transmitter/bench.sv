module bench;
  logic       clk = 0;
  logic       rst, valid, ready, line;
  logic [7:0] data;

  uart_transmitter dut (.clk(clk), .rst(rst), .valid(valid), .data(data), .ready(ready), .line(line));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int   ones;
  logic want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic idle(input int cycles);
    repeat (cycles) begin
      valid = 0;
      data = 8'(random());
      @(negedge clk);
      check("ready at rest", ready, 1);
      check("line at rest", line, 1);
    end
  endtask

  // a byte, of which the first cycles are observed
  task automatic send(input logic [7:0] value, input int cycles);
    check("ready before a byte", ready, 1);
    valid = 1;
    data = value;
    ones = 0;
    for (int i = 0; i < 8; i++) ones += int'((value >> i) & 8'd1);
    for (int i = 0; i < cycles; i++) begin
      @(negedge clk);
      valid = 1'(random());
      data = 8'(random());
      if (i == 87) valid = 0;
      if (i < 8) want = 0;
      else if (i < 72) want = 1'(value >> (i / 8 - 1));
      else if (i < 80) want = ones % 2 == 1;
      else want = 1;
      check("ready during a byte", ready, 0);
      check("line", line, want);
    end
    if (cycles == 88) begin
      @(negedge clk);
      check("ready after a byte", ready, 1);
      check("line after a byte", line, 1);
    end
  endtask

  task automatic reset;
    rst = 1;
    valid = 1;
    @(negedge clk);
    check("ready after reset", ready, 1);
    check("line after reset", line, 1);
    rst = 0;
    idle(3);
  endtask

  initial begin
    {valid, data} = '0;
    rst = 1;
    @(negedge clk);
    reset();
    send(8'h00, 88);
    send(8'hff, 88);
    send(8'h01, 88);
    idle(2);
    send(8'h80, 88);
    send(8'ha6, 88);
    send(8'h00, 30);
    reset();
    idle(100);
    send(8'h7f, 5);
    reset();
    repeat (60) begin
      send(8'(random()), 88);
      idle(int'(random() % 4));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
